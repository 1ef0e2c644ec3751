/** Sums over some micro-batches of one step: what is averaged among workers. All are sums, so parts of any size can be added. */
export interface StepGradients {
  /** Flat gradient of lossSum, in the layout of the parameters. */
  readonly gradientSum: Float32Array;
  /** Sum of the batch moments of the micro-batches, in the layout of the statistics; zeros with frozen statistics. */
  readonly momentSum: Float32Array;
  /** Micro-batches in momentSum. */
  readonly momentCount: number;
  /** Σ weight · cross entropy. */
  readonly lossSum: number;
  /** Σ weight. */
  readonly weightSum: number;
  /** Samples whose most probable class is their label. */
  readonly correctSum: number;
  /** Samples, padding not counted. */
  readonly sampleCount: number;
}

/** left + right; the vectors of `left` are overwritten with the sums. Rounds to float32 like the accelerator would. */
export function addStepGradients(left: StepGradients, right: StepGradients): StepGradients {
  addInto(left.gradientSum, right.gradientSum);
  addInto(left.momentSum, right.momentSum);
  return {
    gradientSum: left.gradientSum,
    momentSum: left.momentSum,
    momentCount: left.momentCount + right.momentCount,
    lossSum: left.lossSum + right.lossSum,
    weightSum: left.weightSum + right.weightSum,
    correctSum: left.correctSum + right.correctSum,
    sampleCount: left.sampleCount + right.sampleCount,
  };
}

/** Whether mean loss, gradient and moments contain neither NaN nor infinity; false too where nothing has weight. */
export function isFinite(gradients: StepGradients): boolean {
  return Number.isFinite(gradients.lossSum / gradients.weightSum) && allFinite(gradients.gradientSum) && allFinite(gradients.momentSum);
}

function addInto(target: Float32Array, addend: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + addend[i]!;
}

function allFinite(vector: Float32Array): boolean {
  // x · 0 is 0 for every finite x and NaN for the others: one pass without branches.
  let sum = 0;
  for (const value of vector) sum += value * 0;
  return sum === 0;
}
