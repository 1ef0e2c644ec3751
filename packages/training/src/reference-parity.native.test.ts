import { parseTrainingRecipe } from '@roentgen/domain';
import { loadBinding, viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry, TensorFlowBinding } from '@roentgen/tensorflow';
import { beforeAll, describe, expect, test } from 'vitest';
import { fixtureVector, pseudoRandom, readReferenceFixture } from './testing/reference-fixture.js';
import type { ReferenceFixture } from './testing/reference-fixture.js';
import type { StepGradients } from './step-gradients.js';
import { TrainingSession } from './training-session.js';

/** Distance allowed between our float32 and the reference in float64. */
const TOLERANCE = 1e-4;
/**
 * Gradients with a smaller part of the total norm are not compared. With batch statistics such a one is rounding noise: those of the
 * linear bottlenecks' beta are exactly 0 in theory. With frozen statistics there is no such cancellation, so all are compared.
 */
const RELEVANT_PART = { batch: 1e-3, frozen: 0 } as const;

const FIXTURES = ['keras-b0-batch', 'keras-b0-frozen', 'lite0-frozen', 'b0-symmetric-batch', 'b0-symmetric-frozen'];

const norm = (values: Iterable<number>) => Math.sqrt([...values].reduce((sum, value) => sum + value * value, 0));

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

function compute(fixture: ReferenceFixture): { session: TrainingSession; images: Uint8Array; gradients: StepGradients } {
  const { variant, conventions, imageSizePx, batchSize: n, labelSmoothing, batchNorm, classes } = fixture;
  const recipe = parseTrainingRecipe({
    variant,
    imageSizePx,
    globalBatchSize: n,
    microBatchSize: n,
    labelSmoothing,
    batchNorm,
    dropoutRate: 0,
    dropConnectRate: 0,
  });
  const session = TrainingSession.create({ binding, recipe, numClasses: classes, ...(conventions && { conventions }) });
  const weights = fixtureVector(session.spec.parameters, fixture.gain);
  const empty = new Float32Array(weights.length);
  session.setState({ weights, adamM: empty, adamV: empty, statistics: fixtureVector(session.spec.statistics) });
  const images = Uint8Array.from(pseudoRandom('images', n * imageSizePx * imageSizePx * 3), (value) => value & 255);
  const batch = {
    images,
    labels: Int32Array.from({ length: n }, (_, index) => (index * 37) % classes),
    weights: Float32Array.from({ length: n }, (_, index) => 1 + 0.5 * (index % 3)),
    sampleIds: [],
  };
  return { session, images, gradients: session.gradients(batch, Int32Array.of(0, 0)) };
}

describe.each(FIXTURES)('%s', (name) => {
  const fixture = readReferenceFixture(name);
  let session: TrainingSession;
  let images: Uint8Array;
  let gradients: StepGradients;
  let relevant: readonly LayoutEntry[];

  beforeAll(() => {
    ({ session, images, gradients } = compute(fixture));
    const smallest = norm(Object.values(fixture.gradientNorms)) * RELEVANT_PART[fixture.batchNorm];
    relevant = session.spec.parameters.entries.filter((entry) => fixture.gradientNorms[entry.name]! > smallest);
    return () => session.close();
  });

  test('the loss is that of the reference', () => {
    expect(Math.abs(gradients.lossSum / fixture.loss - 1)).toBeLessThan(1e-5);
  });

  // With batch statistics they are not to be had: predictions are made with the running ones.
  test.runIf(fixture.batchNorm === 'frozen')('logits are those of the reference', () => {
    const { logits } = session.predict(images, fixture.batchSize);
    const theirs = fixture.tensors.get('logits')!.data;
    const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    expect(largest(theirs.map((value, index) => value - logits[index]!)) / largest(theirs)).toBeLessThan(TOLERANCE);
  });

  test('the reference has exactly our parameters, and most of their gradients count', () => {
    expect(session.spec.parameters.entries.map(({ name: parameter }) => parameter).sort()).toEqual(
      Object.keys(fixture.gradientNorms).sort(),
    );
    expect(relevant.length).toBeGreaterThan(100);
  });

  test('the gradient of every relevant parameter is that of the reference', () => {
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

  test('batch moments are those of the reference, with the unbiased variance', () => {
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
