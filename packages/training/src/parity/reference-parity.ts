import { parseTrainingRecipe } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import type { EfficientNetSpec } from '@roentgen/efficientnet';
import type { StepGradients } from '../step-gradients.js';
import { TrainingSession } from '../training-session.js';
import { fixtureBatch, fixtureVector, readReferenceFixture } from './reference-fixture.js';
import type { ReferenceFixture, ReferenceFixtureName } from './reference-fixture.js';

/**
 * Distance allowed between our float32 and the reference in float64, as relative L2 norm of each compared vector. A GPU adds up in another order
 * and needs TF32 off (`NVIDIA_TF32_OVERRIDE=0`) to come near.
 */
export const PARITY_TOLERANCE = { cpu: 1e-4, cuda: 1e-3 } as const;

/**
 * Gradients with a smaller part of the total norm are not compared. With batch statistics such a one is rounding noise: those of the
 * linear bottlenecks' beta are exactly 0 in theory. With frozen statistics there is no such cancellation, so all are compared.
 */
const RELEVANT_PART = { batch: 1e-3, frozen: 0 } as const;

export interface TensorDistance {
  readonly name: string;
  /** ‖ours − reference‖₂ / ‖reference‖₂ over the stored values. */
  readonly relativeL2: number;
}

/** How far one step is from what a reference computed from the same weights and images: Keras, or the network written out on plain TensorFlow. */
export interface ReferenceParity {
  readonly fixture: ReferenceFixtureName;
  readonly batchNorm: 'batch' | 'frozen';
  /** |ours / reference − 1| */
  readonly lossDistance: number;
  /** max |ours − reference| / max |reference|; null with batch statistics, since predictions are made with the running ones. */
  readonly logitDistance: number | null;
  /** Parameters that only one of the two has; empty when they are the same network. */
  readonly unmatchedParameters: readonly string[];
  /** Of every relevant parameter: the larger of the distance of its stored gradient values and of the whole gradient's norm. */
  readonly gradients: readonly TensorDistance[];
  /** Mean and unbiased variance of the batch in some layers; none with frozen statistics. */
  readonly moments: readonly TensorDistance[];
}

const norm = (values: Iterable<number>) => Math.sqrt([...values].reduce((sum, value) => sum + value * value, 0));

/** Computes loss, gradients and batch moments of a stored case on the binding's device. */
export function compareWithReference(binding: TensorFlowBinding, name: ReferenceFixtureName): ReferenceParity {
  const fixture = readReferenceFixture(name);
  const { spec, gradients, logits } = compute(binding, fixture);
  const theirNames = new Set(Object.keys(fixture.gradientNorms));
  const ourNames = new Set(spec.parameters.entries.map((entry) => entry.name));
  return {
    fixture: name,
    batchNorm: fixture.batchNorm,
    lossDistance: Math.abs(gradients.lossSum / fixture.loss - 1),
    logitDistance: logits && largestDistance(logits, fixture.tensors.get('logits')!.data),
    unmatchedParameters: [...new Set([...ourNames, ...theirNames])].filter((each) => !ourNames.has(each) || !theirNames.has(each)),
    gradients: gradientDistances(fixture, spec, gradients),
    moments: momentDistances(fixture, spec, gradients),
  };
}

/** The farthest of some tensors. NaN counts as infinitely far; null without any. */
export function farthest(distances: readonly TensorDistance[]): TensorDistance | null {
  const comparable = distances.map(({ name, relativeL2 }) => ({ name, relativeL2: Number.isNaN(relativeL2) ? Infinity : relativeL2 }));
  return comparable.reduce<TensorDistance | null>((far, each) => (far === null || each.relativeL2 > far.relativeL2 ? each : far), null);
}

interface Computed {
  readonly spec: EfficientNetSpec;
  readonly gradients: StepGradients;
  readonly logits: Float32Array | null;
}

function compute(binding: TensorFlowBinding, fixture: ReferenceFixture): Computed {
  const session = createSession(binding, fixture);
  try {
    const { parameters, statistics } = session.spec;
    const weights = fixtureVector(parameters, fixture.gain);
    session.setState({ ...session.initialState(0), weights, statistics: fixtureVector(statistics) });
    const batch = fixtureBatch(fixture);
    return {
      spec: session.spec,
      gradients: session.gradients(batch, Int32Array.of(0, 0)),
      logits: fixture.batchNorm === 'frozen' ? session.predict(batch.images, fixture.batchSize).logits : null,
    };
  } finally {
    session.close();
  }
}

function createSession(binding: TensorFlowBinding, fixture: ReferenceFixture): TrainingSession {
  const { variant, conventions, imageSizePx, batchSize, labelSmoothing, batchNorm, classes } = fixture;
  const recipe = parseTrainingRecipe({
    variant,
    imageSizePx,
    globalBatchSize: batchSize,
    microBatchSize: batchSize,
    labelSmoothing,
    batchNorm,
    dropoutRate: 0,
    dropConnectRate: 0,
  });
  return TrainingSession.create({ binding, recipe, numClasses: classes, ...(conventions && { conventions }) });
}

function largestDistance(ours: Float32Array, theirs: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return largest(theirs.map((value, index) => value - ours[index]!)) / largest(theirs);
}

function gradientDistances(fixture: ReferenceFixture, spec: EfficientNetSpec, { gradientSum }: StepGradients): TensorDistance[] {
  const smallest = norm(Object.values(fixture.gradientNorms)) * RELEVANT_PART[fixture.batchNorm];
  const relevant = spec.parameters.entries.filter((entry) => (fixture.gradientNorms[entry.name] ?? 0) > smallest);
  return relevant.map((entry) => {
    const ours = viewEntry(gradientSum, entry);
    const theirs = fixture.tensors.get(`gradient/${entry.name}`)!.data;
    const stride = Math.max(1, Math.floor(entry.length / fixture.sample));
    const values = norm(theirs.map((value, index) => value - ours[index * stride]!)) / norm(theirs);
    return { name: entry.name, relativeL2: Math.max(values, Math.abs(norm(ours) / fixture.gradientNorms[entry.name]! - 1)) };
  });
}

/** Pixels between neighbours of the stored layers: how much smaller than the image their feature map is. */
const MOMENT_STRIDES: Readonly<Record<string, number>> = { stem_bn: 2, block4a_bn: 16, top_bn: 32 };

function momentDistances(fixture: ReferenceFixture, spec: EfficientNetSpec, { momentSum }: StepGradients): TensorDistance[] {
  const names = [...fixture.tensors.keys()].filter((tensor) => tensor.startsWith('moment/'));
  return names.map((tensor) => {
    const [, layer = '', kind = ''] = tensor.split('/');
    const entry = spec.statistics.entries.find((statistic) => statistic.name === `${layer}/${kind}`)!;
    const values = fixture.batchSize * Math.ceil(fixture.imageSizePx / MOMENT_STRIDES[layer]!) ** 2;
    // The reference keeps the biased variance, we the unbiased one (Bessel's correction).
    const bessel = kind === 'moving_variance' ? values / (values - 1) : 1;
    const theirs = fixture.tensors.get(tensor)!.data.map((value) => value * bessel);
    const ours = viewEntry(momentSum, entry);
    return { name: tensor, relativeL2: norm(theirs.map((value, index) => value - ours[index]!)) / norm(theirs) };
  });
}
