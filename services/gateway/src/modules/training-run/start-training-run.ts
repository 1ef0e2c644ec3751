import type { DatasetRecord, DatasetStore, DatasetVersionRecord, EventStore, RunStore, WorkerStore } from '@roentgen/database';
import {
  InvalidInputError,
  NotFoundError,
  newId,
  parseId,
  microBatchForAll,
  parseRequestedRecipe,
  stateEvent,
  tooLittleMemory,
  type Actor,
  type DatasetVersionId,
  type RunEvent,
  type RequestedRecipe,
} from '@roentgen/domain';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import { ONLINE_WITHIN_MS } from '../worker/worker-service.js';
import type { Repeatable } from '../repeatable.js';
import type { WeightSetService } from '../weight-set/weight-set-service.js';
import type { StartTrainingRunInput } from './training-run.input.js';
import type { StartTrainingRunPayload } from './training-run.type.js';

const MAX_NAME_LENGTH = 200;

export interface StartTrainingRunParts {
  readonly datasets: DatasetStore;
  readonly runs: RunStore;
  readonly weights: WeightSetService;
  readonly workers: WorkerStore;
  readonly events: EventStore;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
}

/** Queues a run: its row and its first event in one transaction, then a wake-up for the coordinators. */
export class StartTrainingRun {
  constructor(private readonly parts: StartTrainingRunParts) {}

  run(actor: Actor, input: StartTrainingRunInput): Promise<StartTrainingRunPayload> {
    return answer(async () => {
      const { projectId } = actor;
      const asked = parseRequestedRecipe(withoutNulls(input.recipe));
      const weights = await this.parts.weights.forTraining(actor, asked);
      const recipe = { ...asked, initialWeights: weights?.id ?? null };
      const { version, dataset } = await this.datasetOf(actor, parseId('dsv', input.datasetVersionId, 'datasetVersionId'));
      const trainSamples = await this.trainSamplesOf(actor, recipe, version);
      await this.assertFitsSomewhere(recipe, trainSamples);
      const name = runName(input.name) ?? `${recipe.variant} on ${dataset.name} v${version.version}`.slice(0, MAX_NAME_LENGTH);
      let recorded: RunEvent[] = [];
      const { id } = await this.parts.repeatable.once(actor, 'start_training_run', input, async (tx) => {
        const run = {
          id: newId('run'),
          projectId,
          name,
          datasetVersionId: version.id,
          recipe,
          initialWeightsId: weights?.id ?? null,
          createdBy: actor.tokenId,
          trainSamples,
        };
        await this.parts.runs.create(tx, run);
        recorded = await this.parts.events.append(tx, run.id, [stateEvent('gateway', 'RUN_QUEUED', 'QUEUED')]);
        return run.id;
      });
      this.parts.announcer.live(id, recorded);
      this.parts.announcer.wake('run-queued', id);
      const [run] = await this.parts.runs.byIds(projectId, [id]);
      return { run: run ?? null };
    });
  }

  private async datasetOf(actor: Actor, id: DatasetVersionId): Promise<{ version: DatasetVersionRecord; dataset: DatasetRecord }> {
    const [version] = await this.parts.datasets.versionsByIds(actor.projectId, [id]);
    const [dataset] = version === undefined ? [] : await this.parts.datasets.byIds(actor.projectId, [version.datasetId]);
    if (version === undefined || dataset === undefined) {
      throw new NotFoundError(`There is no dataset version ${id} in this project.`, { datasetVersionId: id });
    }
    return { version, dataset };
  }

  /** With batch norm in batch mode an incomplete micro-batch is left out, so there must be one whole one. @throws InvalidInputError */
  private async trainSamplesOf(actor: Actor, recipe: RequestedRecipe, version: DatasetVersionRecord): Promise<number> {
    const trainCount = await this.parts.datasets.countSamples(actor.projectId, version.id, 'train');
    if (trainCount === 0) {
      throw new InvalidInputError(
        `Dataset version ${version.id} has no training samples. Finalize one with splitFractions.train above 0.`,
        [{ field: 'datasetVersionId', message: 'has an empty train split' }],
      );
    }
    if (recipe.batchNorm === 'frozen' || recipe.microBatchSize === null || recipe.microBatchSize <= trainCount) return trainCount;
    throw new InvalidInputError(
      `microBatchSize ${recipe.microBatchSize} is larger than the train split of ${trainCount} samples: no micro-batch would be whole. Use at most ${trainCount}.`,
      [{ field: 'recipe.microBatchSize', message: `must be at most ${trainCount}, the size of the train split` }],
    );
  }

  /** A run that no worker has the memory for would wait for ever. Without workers nobody knows yet. @throws InvalidInputError */
  private async assertFitsSomewhere(recipe: RequestedRecipe, trainSamples: number): Promise<void> {
    const workers = await this.parts.workers.memories(ONLINE_WITHIN_MS);
    if (workers.length === 0 || microBatchForAll(recipe, workers, trainSamples) !== null) return;
    const message = tooLittleMemory(recipe, workers, trainSamples);
    throw new InvalidInputError(message, [{ field: 'recipe.microBatchSize', message }]);
  }
}

function runName(name: string | null | undefined): string | null {
  const trimmed = name?.trim() ?? '';
  if (trimmed.length > MAX_NAME_LENGTH) {
    throw new InvalidInputError(`name has ${trimmed.length} characters; it takes at most ${MAX_NAME_LENGTH}.`, [
      { field: 'name', message: `takes at most ${MAX_NAME_LENGTH} characters` },
    ]);
  }
  return trimmed === '' ? null : trimmed;
}

/** GraphQL says null where the recipe says nothing. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null && part !== undefined)
      .map(([key, part]) => [key, withoutNulls(part)]),
  );
}
