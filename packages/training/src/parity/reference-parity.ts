import { parseTrainingRecipe } from '@roentgen/domain';
import type { Precision } from '@roentgen/domain';
import { viewEntry } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import type { EfficientNetSpec } from '@roentgen/efficientnet';
import type { MicroBatch } from '../micro-batch.js';
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
 * Distance allowed between our short number formats and the same references: of the loss, and of all compared gradients as one vector. These
 * are twice and more of what was measured; where oneDNN has no instructions for bf16, its kernels round more often. A step may not be off by more, because a
 * network multiplies each rounding by its condition, and all of float32's distance to the reference is roundings, too: keras-b0-batch has
 * 1.3e-5 in fp32, 2.6e-2 in fp16 and 2.2e-1 in bf16, keras-b0-frozen 1.5e-7, 2.1e-4 and 1.9e-3. Between the last two lie the three bits by
 * which their precisions differ. Batch statistics of few pixels are ill-conditioned; with ReLU6 a rounding can switch a gradient off (Lite0: 1.3e-1 and
 * 4.7e-1 on random weights). A gradient that is missing or of the wrong sign is 1 or 2 away.
 */
export const MIXED_PRECISION_TOLERANCE: Readonly<
  Record<Exclude<Precision, 'fp32'>, { readonly loss: number; readonly gradients: Readonly<Record<ReferenceFixtureName, number>> }>
> = {
  bf16: {
    loss: 0.05,
    gradients: {
      'keras-b0-batch': 0.5,
      'b0-symmetric-batch': 0.5,
      'keras-b0-frozen': 0.005,
      'b0-symmetric-frozen': 0.005,
      'lite0-frozen': 0.8,
    },
  },
  fp16: {
    loss: 0.005,
    gradients: {
      'keras-b0-batch': 0.0625,
      'b0-symmetric-batch': 0.0625,
      'keras-b0-frozen': 0.000625,
      'b0-symmetric-frozen': 0.000625,
      'lite0-frozen': 0.4,
    },
  },
};

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
  /** What gradients were computed in. */
  readonly precision: Precision;
  readonly batchNorm: 'batch' | 'frozen';
  /** |ours / reference − 1| */
  readonly lossDistance: number;
  /**
   * max |ours − reference| / max |reference|; null with batch statistics, since predictions are made with the running ones,
   * and in a short number format, since they are always made in float32.
   */
  readonly logitDistance: number | null;
  /** Parameters that only one of the two has; empty when they are the same network. */
  readonly unmatchedParameters: readonly string[];
  /** Of every relevant parameter: the larger of the distance of its stored gradient values and of the whole gradient's norm. */
  readonly gradients: readonly TensorDistance[];
  /** ‖ours − reference‖₂ / ‖reference‖₂ over the stored values of all relevant gradients together. */
  readonly gradientDistance: number;
  /** Mean and unbiased variance of the batch in some layers; none with frozen statistics. */
  readonly moments: readonly TensorDistance[];
}

const norm = (values: Iterable<number>) => Math.sqrt([...values].reduce((sum, value) => sum + value * value, 0));

/** Computes loss, gradients and batch moments of a stored case on the binding's device. */
export function compareWithReference(
  binding: TensorFlowBinding,
  name: ReferenceFixtureName,
  precision: Precision = 'fp32',
): ReferenceParity {
  const fixture = readReferenceFixture(name);
  const { spec, gradients, logits } = compute(binding, fixture, precision);
  const theirNames = new Set(Object.keys(fixture.gradientNorms));
  const ourNames = new Set(spec.parameters.entries.map((entry) => entry.name));
  return {
    fixture: name,
    precision,
    batchNorm: fixture.batchNorm,
    lossDistance: Math.abs(gradients.lossSum / fixture.loss - 1),
    logitDistance: logits && largestDistance(logits, fixture.tensors.get('logits')!.data),
    unmatchedParameters: [...new Set([...ourNames, ...theirNames])].filter((each) => !ourNames.has(each) || !theirNames.has(each)),
    gradients: gradientDistances(fixture, spec, gradients),
    gradientDistance: wholeGradientDistance(fixture, spec, gradients),
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

function compute(binding: TensorFlowBinding, fixture: ReferenceFixture, precision: Precision): Computed {
  const session = createSession(binding, fixture, precision);
  try {
    const { parameters, statistics } = session.spec;
    const weights = fixtureVector(parameters, fixture.gain);
    session.setState({ ...session.initialState(0), weights, statistics: fixtureVector(statistics) });
    const batch = fixtureBatch(fixture);
    return {
      spec: session.spec,
      gradients: settledGradients(session, batch),
      logits: fixture.batchNorm === 'frozen' && precision === 'fp32' ? session.predict(batch.images, fixture.batchSize).logits : null,
    };
  } finally {
    session.close();
  }
}

/** As a run would find them: in fp16 after the steps that only lower the loss scale. */
function settledGradients(session: TrainingSession, batch: MicroBatch): StepGradients {
  for (let step = 0; ; step++) {
    const gradients = session.gradients(batch, Int32Array.of(0, 0));
    if (session.isSumFinite(gradients) || !session.canSkip(gradients)) return gradients;
    session.skip({ step });
  }
}

function createSession(binding: TensorFlowBinding, fixture: ReferenceFixture, precision: Precision): TrainingSession {
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
    precision,
  });
  return TrainingSession.create({ binding, recipe, numClasses: classes, ...(conventions && { conventions }) });
}

function largestDistance(ours: Float32Array, theirs: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return largest(theirs.map((value, index) => value - ours[index]!)) / largest(theirs);
}

interface ComparedGradient {
  readonly name: string;
  readonly ours: Float32Array;
  /** Stored values of the reference, and ours less them. */
  readonly theirs: Float32Array;
  readonly difference: Float32Array;
}

function comparedGradients(fixture: ReferenceFixture, spec: EfficientNetSpec, { gradientSum }: StepGradients): ComparedGradient[] {
  const smallest = norm(Object.values(fixture.gradientNorms)) * RELEVANT_PART[fixture.batchNorm];
  const relevant = spec.parameters.entries.filter((entry) => (fixture.gradientNorms[entry.name] ?? 0) > smallest);
  return relevant.map((entry) => {
    const ours = viewEntry(gradientSum, entry);
    const theirs = fixture.tensors.get(`gradient/${entry.name}`)!.data;
    const stride = Math.max(1, Math.floor(entry.length / fixture.sample));
    return { name: entry.name, ours, theirs, difference: theirs.map((value, index) => ours[index * stride]! - value) };
  });
}

function gradientDistances(fixture: ReferenceFixture, spec: EfficientNetSpec, gradients: StepGradients): TensorDistance[] {
  return comparedGradients(fixture, spec, gradients).map(({ name, ours, theirs, difference }) => {
    const ofNorms = Math.abs(norm(ours) / fixture.gradientNorms[name]! - 1);
    return { name, relativeL2: Math.max(norm(difference) / norm(theirs), ofNorms) };
  });
}

function wholeGradientDistance(fixture: ReferenceFixture, spec: EfficientNetSpec, gradients: StepGradients): number {
  const compared = comparedGradients(fixture, spec, gradients);
  return norm(compared.map(({ difference }) => norm(difference))) / norm(compared.map(({ theirs }) => norm(theirs)));
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
