import { classificationMetrics } from './classification-metrics.js';
import type { EvaluationMetrics } from './classification-metrics.js';
import { InvalidBatchError } from './errors.js';
import type { Predictions } from './predictor.js';

/** Some images with their labels; any number of at least one. */
export interface EvaluationBatch {
  /** [n, s, s, 3] RGB bytes. */
  readonly images: Uint8Array;
  /** [n] class indices. */
  readonly labels: Int32Array;
  readonly sampleIds: readonly string[];
}

/** Where the samples of an evaluation come from; can be walked again for every evaluation. */
export interface EvaluationInput {
  readonly sampleCount: number;
  batches(): AsyncIterable<EvaluationBatch>;
}

/** What can be evaluated: a TrainingSession or a PredictionSession. */
export interface Predictor {
  predict(images: Uint8Array, count: number): Predictions;
}

/** Metrics over all samples of the input, in whatever batches they come. @throws InvalidBatchError when a label is no class or there is no sample */
export async function evaluate(predictor: Predictor, input: EvaluationInput, classes: readonly string[]): Promise<EvaluationMetrics> {
  const labels: number[] = [];
  const logits: Float32Array[] = [];
  const probabilities: Float32Array[] = [];
  for await (const batch of input.batches()) {
    const wrong = batch.labels.find((label) => label < 0 || label >= classes.length);
    if (wrong !== undefined) {
      throw new InvalidBatchError(`label ${wrong} is no class: there are ${classes.length}, numbered from 0.`, { label: wrong, classes });
    }
    const predictions = predictor.predict(batch.images, batch.labels.length);
    labels.push(...batch.labels);
    logits.push(predictions.logits);
    probabilities.push(predictions.probabilities);
  }
  if (labels.length === 0) throw new InvalidBatchError('there is no image to evaluate on.');
  return classificationMetrics({ classes, labels, logits: joined(logits), probabilities: joined(probabilities) });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
