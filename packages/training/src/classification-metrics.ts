/** One class's sensitivity (recall): how many of its samples were recognised. */
export interface ClassSensitivity {
  readonly class: string;
  /** Samples of the class. */
  readonly n: number;
  /** Null when there is none. */
  readonly value: number | null;
}

/** How good a classifier is on some samples. */
export interface EvaluationMetrics {
  readonly n: number;
  /** Mean cross entropy, without label smoothing. */
  readonly loss: number;
  readonly accuracy: number;
  /** Accuracy of always answering the most frequent class: what accuracy must be compared with. */
  readonly majorityBaselineAccuracy: number;
  readonly sensitivity: readonly ClassSensitivity[];
  /** [actual][predicted]; a sample whose logits are no numbers is predicted as nothing, which is wrong. */
  readonly confusionMatrix: readonly (readonly number[])[];
  /** Two classes: of the probability of class 1. More: mean over classes, each against the rest. Null when a class has no samples. */
  readonly auroc: number | null;
}

/** Predictions with the truth beside them; matrices are [n, classes.length], row by row. */
export interface ClassifiedSamples {
  readonly classes: readonly string[];
  readonly labels: readonly number[];
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;
}

/** @throws RangeError when there is no sample */
export function classificationMetrics({ classes, labels, logits, probabilities }: ClassifiedSamples): EvaluationMetrics {
  if (labels.length === 0) throw new RangeError('metrics of no samples have no value.');
  const k = classes.length;
  const confusionMatrix = classes.map(() => new Array<number>(k).fill(0));
  let lossSum = 0;
  labels.forEach((label, row) => {
    const rowLogits = logits.subarray(row * k, (row + 1) * k);
    const predicted = indexOfMaximum(rowLogits);
    if (predicted !== null) confusionMatrix[label]![predicted]! += 1;
    lossSum += crossEntropy(rowLogits, label);
  });
  const counts = classes.map((_, index) => labels.filter((label) => label === index).length);
  const correct = confusionMatrix.reduce((sum, row, index) => sum + row[index]!, 0);
  return {
    n: labels.length,
    loss: lossSum / labels.length,
    accuracy: correct / labels.length,
    majorityBaselineAccuracy: Math.max(...counts) / labels.length,
    sensitivity: classes.map((name, index) => ({
      class: name,
      n: counts[index]!,
      value: counts[index] ? confusionMatrix[index]![index]! / counts[index] : null,
    })),
    confusionMatrix,
    auroc: multiclassAuroc(labels, probabilities, k),
  };
}

/** −log softmax(logits)[label], without overflow. */
export function crossEntropy(logits: Float32Array, label: number): number {
  const maximum = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - maximum), 0);
  return Math.log(sum) + maximum - logits[label]!;
}

/**
 * Area under the ROC curve as the probability that a positive scores higher than a negative, ties counting half (Mann & Whitney 1947).
 * Null when there are no positives or no negatives, or when a score is NaN: it has no rank.
 */
export function binaryAuroc(scores: readonly number[], isPositive: readonly boolean[]): number | null {
  const order = scores.map((_, index) => index).sort((a, b) => scores[a]! - scores[b]!);
  const positives = isPositive.filter(Boolean).length;
  const negatives = scores.length - positives;
  if (positives === 0 || negatives === 0 || scores.some(Number.isNaN)) return null;
  let rankSum = 0;
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) end++;
    const meanRank = (start + 1 + end) / 2;
    for (let position = start; position < end; position++) if (isPositive[order[position]!]) rankSum += meanRank;
    start = end;
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

function multiclassAuroc(labels: readonly number[], probabilities: Float32Array, k: number): number | null {
  const scored = k === 2 ? [1] : Array.from({ length: k }, (_, index) => index);
  const areas = scored.map((positive) =>
    binaryAuroc(
      labels.map((_, row) => probabilities[row * k + positive]!),
      labels.map((label) => label === positive),
    ),
  );
  const defined = areas.filter((area) => area !== null);
  return defined.length === areas.length ? defined.reduce((sum, area) => sum + area, 0) / areas.length : null;
}

/** Null where a value is not a number. */
function indexOfMaximum(values: Float32Array): number | null {
  if (values.some(Number.isNaN)) return null;
  return values.reduce((best, value, index) => (value > values[best]! ? index : best), 0);
}
