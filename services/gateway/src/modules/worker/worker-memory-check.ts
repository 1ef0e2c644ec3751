import type { WorkerStore } from '@roentgen/database';
import { InvalidInputError, microBatchForAll, tooLittleMemory, type RequestedRecipe } from '@roentgen/domain';
import { ONLINE_WITHIN_MS } from './worker-service.js';

/** Whether there is a worker that a run fits into. */
export class WorkerMemoryCheck {
  constructor(private readonly workers: WorkerStore) {}

  /** A run that no worker has the memory for would wait for ever. Without workers nobody knows yet. @throws InvalidInputError */
  async assertFitsSomewhere(recipe: RequestedRecipe, trainSamples: number): Promise<void> {
    const workers = await this.workers.memories(ONLINE_WITHIN_MS);
    if (workers.length === 0 || microBatchForAll(recipe, workers, trainSamples) !== null) return;
    const message = tooLittleMemory(recipe, workers, trainSamples);
    throw new InvalidInputError(message, [{ field: 'recipe.microBatchSize', message }]);
  }
}
