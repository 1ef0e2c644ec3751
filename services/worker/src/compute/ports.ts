import { newId } from '@roentgen/domain';
import type { CheckpointStore, EvaluationInput, TrainingInput } from '@roentgen/training';
import type { NetworkFunctions, Remote } from '../rpc.js';
import type { SharedControl } from '../shared-control.js';

type Network = Remote<NetworkFunctions>;

/** The training images, out of the networking thread's slots. A slot goes back when the next step is asked for: its session calls are over then. */
export function trainingInput(network: Pick<Network, 'trainingBatch' | 'releaseSlot'>): TrainingInput {
  let held: number | null = null;
  return {
    batch: async (step) => {
      if (held !== null) await network.releaseSlot('training', held);
      const { slot, microBatches } = await network.trainingBatch(step);
      held = slot;
      return microBatches;
    },
  };
}

/** The validation split, batch by batch. */
export function evaluationInput(
  network: Pick<Network, 'evaluationBatch' | 'releaseSlot'>,
  split: { readonly sampleCount: number; readonly batchSize: number },
  control: SharedControl,
): EvaluationInput {
  return {
    sampleCount: split.sampleCount,
    batches: async function* () {
      for (let index = 0; index * split.batchSize < split.sampleCount; index++) {
        const { slot, microBatches } = await network.evaluationBatch(index);
        yield* microBatches;
        control.countProgress();
        await network.releaseSlot('evaluation', slot);
      }
    },
  };
}

/** Checkpoints go to the object store; `stored` learns where. */
export function checkpointStore(
  network: Pick<Network, 'saveCheckpoint'>,
  stored: (checkpointId: string, objectKey: string) => void,
): CheckpointStore {
  return {
    save: async ({ tensors, description }) => {
      const checkpointId = newId('ckp');
      const { objectKey } = await network.saveCheckpoint({ checkpointId, tensors, description });
      stored(checkpointId, objectKey);
      return { checkpointId, epoch: description.epoch, step: description.step };
    },
  };
}
