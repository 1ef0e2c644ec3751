/** Sums of numbers over some micro-batches of one step. All are sums, so parts of any size can be added. */
export interface StepSums {
  /** Micro-batches whose moments are summed. */
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

/** The sums with their vectors, away from the device: what is averaged among workers. */
export interface StepGradients extends StepSums {
  /** Flat gradient of lossSum, in the layout of the parameters. */
  readonly gradientSum: Float32Array;
  /** Sum of the batch moments of the micro-batches, in the layout of the statistics; zeros with frozen statistics. */
  readonly momentSum: Float32Array;
}

export function addStepSums(left: StepSums, right: StepSums): StepSums {
  return {
    momentCount: left.momentCount + right.momentCount,
    lossSum: left.lossSum + right.lossSum,
    weightSum: left.weightSum + right.weightSum,
    correctSum: left.correctSum + right.correctSum,
    sampleCount: left.sampleCount + right.sampleCount,
  };
}

/** Whether every element is a number and finite. */
export function allFinite(vector: Float32Array): boolean {
  // x · 0 is 0 for every finite x and NaN for the others: one pass without branches.
  let sum = 0;
  for (const value of vector) sum += value * 0;
  return sum === 0;
}
