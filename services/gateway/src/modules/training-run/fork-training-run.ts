import type { DatasetStore, EventStore, ForkPoint, ForkStore, RunStore, TrainingRunRecord } from '@roentgen/database';
import {
  ConflictError,
  InvalidInputError,
  NotFoundError,
  forkRecipe,
  newId,
  parseId,
  stateEvent,
  type Actor,
  type RunEvent,
  type RunId,
} from '@roentgen/domain';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { Repeatable } from '../repeatable.js';
import type { WorkerMemoryCheck } from '../worker/worker-memory-check.js';
import { comparable, toOverrides } from './fork-overrides.js';
import type { ForkTrainingRunInput } from './fork.input.js';
import type { ForkTrainingRunPayload } from './fork.type.js';
import { MAX_NAME_LENGTH, runName } from './run-name.js';
import { unknownRun } from './training-run-service.js';

const OPERATION = 'fork_training_run';

export interface ForkTrainingRunParts {
  readonly datasets: DatasetStore;
  readonly runs: RunStore;
  readonly forks: ForkStore;
  readonly memory: WorkerMemoryCheck;
  readonly events: EventStore;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
}

/** Queues a run that goes on from a checkpoint of another run: its row, which holds the checkpoint, and its first event in one transaction. */
export class ForkTrainingRun {
  constructor(private readonly parts: ForkTrainingRunParts) {}

  run(actor: Actor, input: ForkTrainingRunInput): Promise<ForkTrainingRunPayload> {
    return answer(async () => {
      const overrides = toOverrides(input.overrides);
      const request = { ...input, overrides: comparable(overrides) };
      const earlier = await this.parts.repeatable.earlier<RunId>(actor, OPERATION, request);
      if (earlier !== null) return { run: await this.read(actor, earlier) };
      const { source, point } = await this.sourceOf(actor, input);
      const trainSamples = await this.parts.datasets.countSamples(actor.projectId, source.datasetVersionId, 'train');
      const recipe = forkRecipe({ recipe: source.recipe, checkpointId: point.checkpointId, step: point.step, trainSamples }, overrides);
      await this.parts.memory.assertFitsSomewhere(recipe, trainSamples);
      const name = runName(input.name) ?? `${source.name} from step ${point.step}`.slice(0, MAX_NAME_LENGTH);
      const { projectId, tokenId: createdBy } = actor;
      let recorded: RunEvent[] = [];
      const { id } = await this.parts.repeatable.once(actor, OPERATION, request, async (tx) => {
        const fork = {
          id: newId('run'),
          projectId,
          name,
          from: source.id,
          checkpointId: point.checkpointId,
          recipe,
          createdBy,
          trainSamples,
        };
        if (!(await this.parts.forks.create(tx, fork))) throw removed(point);
        const message = `goes on from ${point.checkpointId} of ${point.runId} (epoch ${point.epoch}, step ${point.step})`;
        recorded = await this.parts.events.append(tx, fork.id, [stateEvent('gateway', 'RUN_QUEUED', 'QUEUED', { message })]);
        return fork.id;
      });
      this.parts.announcer.live(id, recorded);
      this.parts.announcer.wake('run-queued', id);
      return { run: await this.read(actor, id) };
    });
  }

  /** The run that is forked, and where. @throws NotFoundError, InvalidInputError */
  private async sourceOf(actor: Actor, input: ForkTrainingRunInput): Promise<{ source: TrainingRunRecord; point: ForkPoint }> {
    const { checkpointId, runId, checkpoint: choice } = input;
    if ((checkpointId == null) === (runId == null)) {
      const message = checkpointId == null ? 'Say where to start: give checkpointId or runId.' : 'Give checkpointId or runId, not both.';
      throw new InvalidInputError(message, [{ field: checkpointId == null ? 'checkpointId' : 'runId', message }]);
    }
    if (runId != null) {
      const source = await this.read(actor, parseId('run', runId, 'runId'));
      return { source, point: await this.chosen(actor, source, choice ?? 'last') };
    }
    if (choice != null) {
      const message = 'checkpoint chooses among those of runId; with checkpointId leave it out.';
      throw new InvalidInputError(message, [{ field: 'checkpoint', message }]);
    }
    const id = parseId('ckp', checkpointId ?? '', 'checkpointId');
    const point = await this.parts.forks.checkpoint(actor.projectId, id);
    if (point === null)
      throw new NotFoundError(`There is no checkpoint ${id} in this project. trainingRun { checkpoints { id } } lists them.`, {
        checkpointId: id,
      });
    return { source: await this.read(actor, point.runId), point };
  }

  private async chosen(actor: Actor, { id: runId, status }: TrainingRunRecord, choice: 'best' | 'last'): Promise<ForkPoint> {
    const point = await this.parts.forks[choice](actor.projectId, runId);
    if (point !== null) return point;
    const message =
      choice === 'best'
        ? `${runId} has no checkpoint with a validation loss, by which the best is chosen. Use LAST, or name one with checkpointId.`
        : `${runId} (${status}) has no checkpoint yet. Wait for its first one, or start a new run with startTrainingRun.`;
    throw new ConflictError(message, { runId, status });
  }

  private async read(actor: Actor, id: RunId): Promise<TrainingRunRecord> {
    const [run] = await this.parts.runs.byIds(actor.projectId, [id]);
    if (run === undefined) throw unknownRun(id);
    return run;
  }
}

const removed = ({ checkpointId, runId }: ForkPoint): ConflictError =>
  new ConflictError(`Checkpoint ${checkpointId} was removed a moment ago. Fork another one of ${runId}.`, { checkpointId, runId });
