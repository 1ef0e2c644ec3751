import type { DatasetRecord, DatasetStore, DatasetVersionRecord, EventStore, RunStore } from '@roentgen/database';
import {
  InvalidInputError,
  NotFoundError,
  newId,
  parseId,
  parseRequestedRecipe,
  stateEvent,
  type Actor,
  type DatasetVersionId,
  type RunEvent,
  type RunId,
  type RequestedRecipe,
} from '@roentgen/domain';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { WorkerMemoryCheck } from '../worker/worker-memory-check.js';
import type { Repeatable } from '../repeatable.js';
import type { WeightSetService } from '../weight-set/weight-set-service.js';
import { MAX_NAME_LENGTH, runName } from './run-name.js';
import type { StartTrainingRunInput } from './training-run.input.js';
import type { StartTrainingRunPayload } from './training-run.type.js';

const OPERATION = 'start_training_run';

export interface StartTrainingRunParts {
  readonly datasets: DatasetStore;
  readonly runs: RunStore;
  readonly weights: WeightSetService;
  readonly memory: WorkerMemoryCheck;
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
      const earlier = await this.parts.repeatable.earlier<RunId>(actor, OPERATION, input);
      if (earlier !== null) return { run: (await this.parts.runs.byIds(projectId, [earlier]))[0] ?? null };
      const asked = parseRequestedRecipe(withoutNulls(input.recipe));
      const weights = await this.parts.weights.forTraining(actor, asked);
      const recipe = { ...asked, initialWeights: weights?.id ?? null };
      const { version, dataset } = await this.datasetOf(actor, parseId('dsv', input.datasetVersionId, 'datasetVersionId'));
      const trainSamples = await this.trainSamplesOf(actor, recipe, version);
      await this.parts.memory.assertFitsSomewhere(recipe, trainSamples);
      const name = runName(input.name) ?? `${recipe.variant} on ${dataset.name} v${version.version}`.slice(0, MAX_NAME_LENGTH);
      let recorded: RunEvent[] = [];
      const { id } = await this.parts.repeatable.once(actor, OPERATION, input, async (tx) => {
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
