import { Philox, viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry } from '@roentgen/tensorflow';
import type { EfficientNetSpec, ParameterGroup } from './spec.js';

/** Weights and running statistics as flat vectors in the spec's layouts. */
export interface ModelVectors {
  readonly weights: Float32Array;
  readonly statistics: Float32Array;
}

/**
 * Starting weights, a pure function of the seed (the same bits on every machine).
 *
 * Convolutions and squeeze-and-excitation: normal with variance 2 / fan-out, as the authors' `conv_kernel_initializer`
 * (tensorflow/tpu, models/official/efficientnet). Batch norm: gain 1, offset 0, mean 0, variance 1. Biases: 0.
 * Classifier: uniform in ± 1 / √fan-in. The authors' ± 1 / √classes is made for 1,000 classes; with two it starts from saturated
 * predictions.
 *
 * @param seed integer in [0, 2⁵³)
 */
export function initializeModel(spec: EfficientNetSpec, seed: number): ModelVectors {
  const weights = new Float32Array(spec.parameters.length);
  spec.parameters.entries.forEach((entry, index) => {
    initializeParameter(viewEntry(weights, entry), entry, entry.name === `${spec.classifier.name}/kernel`, new Philox(seed, [index]));
  });
  const statistics = new Float32Array(spec.statistics.length);
  for (const entry of spec.statistics.entries) viewEntry(statistics, entry).fill(entry.group === 'variance' ? 1 : 0);
  return { weights, statistics };
}

function initializeParameter(
  values: Float32Array,
  { name, shape, group }: LayoutEntry<ParameterGroup>,
  isClassifier: boolean,
  random: Philox,
): void {
  if (group !== 'kernel') {
    values.fill(name.endsWith('/gamma') ? 1 : 0);
  } else if (isClassifier) {
    const bound = 1 / Math.sqrt(shape[0] ?? 1);
    for (let i = 0; i < values.length; i++) values[i] = bound * (2 * random.nextUniform() - 1);
  } else {
    const [height = 1, width = 1, , outputs = 1] = shape;
    const deviation = Math.sqrt(2 / (height * width * outputs));
    for (let i = 0; i < values.length; i += 2) {
      const [first, second] = random.nextNormalPair();
      values[i] = deviation * first;
      if (i + 1 < values.length) values[i + 1] = deviation * second;
    }
  }
}
