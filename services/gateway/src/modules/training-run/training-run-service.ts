import type { EventStore, MetricPointRecord, MetricStore, RunStore, TrainingRunRecord } from '@roentgen/database';
import { InvalidInputError, NotFoundError, parseId, type Actor, type RunEvent, type RunId, type RunStatus } from '@roentgen/domain';
import { pageRequest, pageSize, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

const MAX_SERIES_NAMES = 50;
const MAX_SERIES_POINTS = 10_000;
/** Over all names: how many a run has is not known before. */
const MAX_ANSWER_POINTS = 100_000;

export interface TrainingRunParts {
  readonly runs: RunStore;
  readonly events: EventStore;
  readonly metrics: MetricStore;
}

/** Training runs as users read them. */
export class TrainingRunService {
  constructor(private readonly parts: TrainingRunParts) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string, field = 'id'): Promise<TrainingRunRecord> {
    const runId = parseId('run', id, field);
    const [run] = await this.parts.runs.byIds(actor.projectId, [runId]);
    if (run === undefined) throw unknownRun(runId);
    return run;
  }

  async list(
    actor: Actor,
    wanted: { status: RunStatus | null; datasetVersionId: string | null },
    args: PageArgs,
  ): Promise<Connection<TrainingRunRecord>> {
    const { status, datasetVersionId } = wanted;
    const filter = { status, datasetVersionId: datasetVersionId === null ? null : parseId('dsv', datasetVersionId, 'datasetVersionId') };
    const page = await this.parts.runs.list(actor.projectId, filter, pageRequest(args));
    return toConnection(
      page,
      (run) => run,
      () => this.parts.runs.count(actor.projectId, filter),
    );
  }

  async events(actor: Actor, id: string, afterSequence: number, size: { first: number; max: number }): Promise<RunEvent[]> {
    const run = await this.read(actor, id, 'runId');
    assertReached(run, afterSequence);
    return await this.parts.events.readAfter(run.id, afterSequence, pageSize(size.first, 'first', size.max));
  }

  async metricSeries(actor: Actor, id: string, names: readonly string[] | null, maxPoints: number): Promise<MetricPointRecord[]> {
    const run = await this.read(actor, id, 'runId');
    if (names !== null && names.length > MAX_SERIES_NAMES) {
      throw new InvalidInputError(`${names.length} names in one query; it takes at most ${MAX_SERIES_NAMES}.`, [
        { field: 'names', message: `at most ${MAX_SERIES_NAMES}` },
      ]);
    }
    const wanted = { names, maxPoints: pageSize(maxPoints, 'maxPoints', MAX_SERIES_POINTS), limit: MAX_ANSWER_POINTS + 1 };
    const points = await this.parts.metrics.series(actor.projectId, run.id, wanted);
    if (points.length <= MAX_ANSWER_POINTS) return points;
    throw new InvalidInputError(
      `The series of ${run.id} have more than ${MAX_ANSWER_POINTS} points at ${maxPoints} a name. Ask for fewer names, or for a smaller maxPoints.`,
      [{ field: 'maxPoints', message: `at most ${MAX_ANSWER_POINTS} points over all names` }],
    );
  }
}

/** @throws InvalidInputError when the sequence is one that the run's log does not have (yet, or any more: a restored database has fewer) */
export function assertReached({ id, headSequence }: Pick<TrainingRunRecord, 'id' | 'headSequence'>, afterSequence: number): void {
  if (afterSequence < 0) {
    throw new InvalidInputError(`afterSequence ${afterSequence} is negative: give the last sequence received, 0 for all events.`, [
      { field: 'afterSequence', message: 'must be 0 or more' },
    ]);
  }
  if (afterSequence <= headSequence) return;
  throw new InvalidInputError(
    `afterSequence ${afterSequence} lies ahead: the newest event of ${id} is ${headSequence}. Give the last sequence received; if this is it, the database was ` +
      'restored from a backup: forget the events of this run, and begin with 0.',
    [{ field: 'afterSequence', message: `must be at most ${headSequence}` }],
  );
}

export function unknownRun(runId: RunId): NotFoundError {
  return new NotFoundError(`There is no training run ${runId} in this project.`, { runId });
}
