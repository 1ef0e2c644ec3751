import { parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding, viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry, TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { fixtureVector, pseudoRandom, readKerasFixture } from './testing/keras-fixture.js';
import type { KerasFixture } from './testing/keras-fixture.js';
import type { StepGradients } from './step-gradients.js';
import { TrainingSession } from './training-session.js';

/** Distance allowed between our float32 and Keras in float64. */
const TOLERANCE = 1e-4;
/**
 * Gradients with a smaller part of the total norm are not compared. With batch statistics such a one is rounding noise: those of the
 * linear bottlenecks' beta are exactly 0 in theory. With frozen statistics there is no such cancellation, so all are compared.
 */
const RELEVANT_PART = { batch: 1e-3, frozen: 0 } as const;

const norm = (values: Iterable<number>) => Math.sqrt([...values].reduce((sum, value) => sum + value * value, 0));

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

function compute(fixture: KerasFixture): { session: TrainingSession; gradients: StepGradients } {
  const { imageSizePx, batchSize: n, labelSmoothing, batchNorm, classes } = fixture;
  const recipe = parseTrainingRecipe({
    imageSizePx,
    globalBatchSize: n,
    microBatchSize: n,
    labelSmoothing,
    batchNorm,
    dropoutRate: 0,
    dropConnectRate: 0,
  });
  const session = TrainingSession.create({ binding, recipe, numClasses: classes });
  const { parameters, statistics } = session.spec;
  session.setState({ ...session.initialState(0), weights: fixtureVector(parameters), statistics: fixtureVector(statistics) });
  const batch = {
    images: Uint8Array.from(pseudoRandom('images', n * imageSizePx * imageSizePx * 3), (value) => value & 255),
    labels: Int32Array.from({ length: n }, (_, index) => (index * 37) % classes),
    weights: Float32Array.from({ length: n }, (_, index) => 1 + 0.5 * (index % 3)),
    sampleIds: [],
  };
  return { session, gradients: session.gradients(batch, Int32Array.of(0, 0)) };
}

describe.each(['keras-b0-batch', 'keras-b0-frozen'])('%s', (name) => {
  let fixture: KerasFixture;
  let session: TrainingSession;
  let gradients: StepGradients;
  let relevant: readonly LayoutEntry[];

  beforeAll(() => {
    fixture = readKerasFixture(name);
    ({ session, gradients } = compute(fixture));
    const smallest = norm(Object.values(fixture.gradientNorms)) * RELEVANT_PART[fixture.batchNorm];
    relevant = session.spec.parameters.entries.filter((entry) => fixture.gradientNorms[entry.name]! > smallest);
    return () => session.close();
  });

  test('the loss is that of Keras', () => {
    expect(Math.abs(gradients.lossSum / fixture.loss - 1)).toBeLessThan(1e-5);
  });

  test('Keras has exactly our parameters, and most of their gradients count', () => {
    expect(session.spec.parameters.entries.map(({ name: parameter }) => parameter).sort()).toEqual(
      Object.keys(fixture.gradientNorms).sort(),
    );
    expect(relevant.length).toBeGreaterThan(100);
  });

  test('the gradient of every relevant parameter is that of Keras', () => {
    const distances = relevant.map((entry) => {
      const ours = viewEntry(gradients.gradientSum, entry);
      const theirs = fixture.tensors.get(`gradient/${entry.name}`)!.data;
      const stride = Math.max(1, Math.floor(entry.length / fixture.sample));
      const difference = theirs.map((value, index) => value - ours[index * stride]!);
      return {
        name: entry.name,
        values: norm(difference) / norm(theirs),
        norm: Math.abs(norm(ours) / fixture.gradientNorms[entry.name]! - 1),
      };
    });
    expect(distances.filter((distance) => !(distance.values <= TOLERANCE && distance.norm <= TOLERANCE))).toEqual([]);
  });

  test('batch moments are those of Keras, with the unbiased variance', () => {
    const { imageSizePx, batchSize } = fixture;
    const strides: Readonly<Record<string, number>> = { stem_bn: 2, block4a_bn: 16, top_bn: 32 };
    const names = [...fixture.tensors.keys()].filter((tensor) => tensor.startsWith('moment/'));
    expect(names).toHaveLength(fixture.batchNorm === 'batch' ? 6 : 0);
    for (const tensor of names) {
      const [, layer = '', kind = ''] = tensor.split('/');
      const entry = session.spec.statistics.entries.find((statistic) => statistic.name === `${layer}/${kind}`)!;
      const values = batchSize * Math.ceil(imageSizePx / strides[layer]!) ** 2;
      const bessel = kind === 'moving_variance' ? values / (values - 1) : 1;
      const theirs = fixture.tensors.get(tensor)!.data.map((value) => value * bessel);
      const ours = viewEntry(gradients.momentSum, entry);
      expect(norm(theirs.map((value, index) => value - ours[index]!)) / norm(theirs), tensor).toBeLessThan(TOLERANCE);
    }
  });
});
