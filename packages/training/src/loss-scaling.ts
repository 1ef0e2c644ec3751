/**
 * What the loss is multiplied by in fp16 (Micikevicius et al. 2018, "Mixed precision training", §3.2): half precision has no numbers below
 * 6·10⁻⁸, and many gradients are smaller. The scale is searched for while training: halved when a gradient overflows, doubled when none has
 * for long. All of it is part of the training state: a resumed run goes on with the same bits.
 */
export interface LossScaling {
  /** A power of two, so that multiplying and dividing by it rounds nothing. */
  readonly scale: number;
  /** Steps since the scale last changed. */
  readonly steadySteps: number;
  /** Steps without an update since the optimiser's memory was last empty: it has seen so many fewer than there were. */
  readonly skippedSteps: number;
}

/** Like PyTorch's GradScaler starts, which is too much for most networks: the first steps find out. */
const FIRST_SCALE = 2 ** 16;
const GREATEST_SCALE = 2 ** 24;
/** Without scaling: a gradient that overflows now has diverged. */
export const LEAST_SCALE = 1;
const STEADY_STEPS_BEFORE_GROWTH = 2000;

export const FIRST_LOSS_SCALING: LossScaling = { scale: FIRST_SCALE, steadySteps: 0, skippedSteps: 0 };

/** After a step that was made. */
export function afterUpdate({ scale, steadySteps, skippedSteps }: LossScaling): LossScaling {
  const grows = steadySteps + 1 === STEADY_STEPS_BEFORE_GROWTH;
  return { scale: grows ? Math.min(2 * scale, GREATEST_SCALE) : scale, steadySteps: grows ? 0 : steadySteps + 1, skippedSteps };
}

/** After a step whose gradient overflowed. */
export function afterOverflow({ scale, skippedSteps }: LossScaling): LossScaling {
  return { scale: Math.max(scale / 2, LEAST_SCALE), steadySteps: 0, skippedSteps: skippedSteps + 1 };
}

/** As a vector of a checkpoint; all three are whole numbers below 2²⁴, so float32 holds them. */
export function encodeLossScaling({ scale, steadySteps, skippedSteps }: LossScaling): Float32Array {
  return Float32Array.of(scale, steadySteps, Math.min(skippedSteps, 2 ** 24));
}

/** @throws RangeError when it is none */
export function decodeLossScaling(vector: Float32Array): LossScaling {
  const [scale = NaN, steadySteps = NaN, skippedSteps = NaN] = vector;
  const isScale = scale >= LEAST_SCALE && scale <= GREATEST_SCALE && Number.isInteger(Math.log2(scale));
  const areCounts = [steadySteps, skippedSteps].every((count) => Number.isInteger(count) && count >= 0);
  if (vector.length !== 3 || !isScale || !areCounts) {
    throw new RangeError(
      `[${vector.join(', ')}] is no loss scaling: expected a power of two from ${LEAST_SCALE} to ${GREATEST_SCALE}, and two counts.`,
    );
  }
  return { scale, steadySteps, skippedSteps };
}
