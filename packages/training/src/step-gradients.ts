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

/** Whether mean loss, moments and the squared norm of the mean gradient are float32 numbers; false too where nothing has weight. */
export function isFinite({ lossSum, weightSum, gradientSum, momentSum }: StepGradients): boolean {
  return Number.isFinite(lossSum / weightSum) && hasFiniteSquares(gradientSum, weightSum) && allFinite(momentSum);
}

/** The optimiser squares the gradient: an element above 10¹⁹ is still a number, its square is none, and would never leave Adam's memory again. */
function hasFiniteSquares(vector: Float32Array, divisor: number): boolean {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Number.isFinite(Math.fround(sum / divisor ** 2));
}

function addInto(target: Float32Array, addend: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + addend[i]!;
}

/** Whether every element is a number and finite. */
export function allFinite(vector: Float32Array): boolean {
  // x · 0 is 0 for every finite x and NaN for the others: one pass without branches.
  let sum = 0;
  for (const value of vector) sum += value * 0;
  return sum === 0;
}
