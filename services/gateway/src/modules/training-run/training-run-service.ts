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
    assertNotNegative(afterSequence);
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

/** @throws InvalidInputError */
export function assertNotNegative(afterSequence: number): void {
  if (afterSequence >= 0) return;
  throw new InvalidInputError(`afterSequence ${afterSequence} is negative: give the last sequence received, 0 for all events.`, [
    { field: 'afterSequence', message: 'must be 0 or more' },
  ]);
}

export function unknownRun(runId: RunId): NotFoundError {
  return new NotFoundError(`There is no training run ${runId} in this project.`, { runId });
}
