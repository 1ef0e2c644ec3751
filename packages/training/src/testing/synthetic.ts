import type { CheckpointStore, SavedCheckpointRef, TrainingEvent, TrainingInput } from '../ports.js';
import type { EncodedCheckpoint } from '../checkpoint.js';
import type { EvaluationInput } from '../evaluate.js';
import { assembleMicroBatch } from '../micro-batch.js';
import type { TrainingSample } from '../micro-batch.js';
import type { TrainingPlan } from '../plan.js';

export function inputOf(plan: TrainingPlan, samples: readonly TrainingSample[]): TrainingInput {
  return {
    batch: (step) =>
      Promise.resolve(
        plan.microBatches(step).map((microBatch) => assembleMicroBatch(microBatch, plan.recipe.imageSizePx, (index) => samples[index]!)),
      ),
  };
}

export function evaluationOf(samples: readonly TrainingSample[], batchSize: number): EvaluationInput {
  return {
    sampleCount: samples.length,
    async *batches() {
      for (let start = 0; start < samples.length; start += batchSize) {
        const part = samples.slice(start, start + batchSize);
        yield await Promise.resolve({
          images: new Uint8Array(Buffer.concat(part.map(({ pixels }) => pixels))),
          labels: Int32Array.from(part, ({ label }) => label),
          sampleIds: part.map(({ id }) => id),
        });
      }
    },
  };
}

/** Keeps checkpoints in memory, as they would come back from a store: bytes and parsed JSON. */
export class MemoryCheckpoints implements CheckpointStore {
  readonly saved: { readonly ref: SavedCheckpointRef; readonly tensors: Uint8Array; readonly description: unknown }[] = [];

  save({ tensors, description }: EncodedCheckpoint): Promise<SavedCheckpointRef> {
    const ref = { checkpointId: `checkpoint-${this.saved.length + 1}`, epoch: description.epoch, step: description.step };
    this.saved.push({ ref, tensors, description: JSON.parse(JSON.stringify(description)) as unknown });
    return Promise.resolve(ref);
  }
}

export function eventsOf<T extends TrainingEvent['type']>(
  events: readonly TrainingEvent[],
  type: T,
): Extract<TrainingEvent, { type: T }>[] {
  return events.filter((event): event is Extract<TrainingEvent, { type: T }> => event.type === type);
}
