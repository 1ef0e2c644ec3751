import type { WorkerRecord } from '@roentgen/database';
import type { ProjectId, WorkerId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { SubscriptionCursor } from '../../graphql/subscription-cursor.js';
import { whyIdle } from './why-idle.js';

/** Workers as a project sees them; `gone`: those that were told of before and are not there any more. */
export interface WorkersChange {
  readonly snapshot: boolean;
  readonly workers: readonly WorkerRecord[];
  readonly gone: readonly WorkerId[];
}

/** All that are worth telling of. */
export type WorkerSource = (projectId: ProjectId) => Promise<readonly WorkerRecord[]>;

/** How often the rows are read for all subscribers of a project. Heartbeats come every second. */
const POLL_MS = 1_000;

/**
 * Gives each subscriber all workers first, and then each that differs from what it was given before. It is a state that is followed, not a log: who is
 * slow gets the newest state of what changed meanwhile, and misses no change that lasts. One query a second per project, only while somebody listens.
 */
export class WorkerFeed {
  private readonly projects = new Map<ProjectId, ProjectWorkers>();

  constructor(
    private readonly source: WorkerSource,
    private readonly logger: Logger,
    private readonly pollMs = POLL_MS,
  ) {}

  /** The iterator's `return()` frees all that it holds, at any moment. */
  subscribe(projectId: ProjectId): AsyncIterableIterator<WorkersChange> {
    const project = this.projects.get(projectId) ?? this.open(projectId);
    return project.subscribe();
  }

  get subscriberCount(): number {
    return [...this.projects.values()].reduce((sum, project) => sum + project.cursors.size, 0);
  }

  /** Ends every subscription. */
  async close(): Promise<void> {
    const cursors = [...this.projects.values()].flatMap((project) => [...project.cursors]);
    await Promise.all(cursors.map((cursor) => cursor.return()));
  }

  private open(projectId: ProjectId): ProjectWorkers {
    const read = () => this.source(projectId);
    const project = new ProjectWorkers(read, this.logger, this.pollMs, () => this.projects.delete(projectId));
    this.projects.set(projectId, project);
    return project;
  }
}

interface Seen {
  readonly worker: WorkerRecord;
  /** Equal while nothing has changed that is worth telling. */
  readonly fingerprint: string;
}

/** The workers of one project, read for as long as somebody listens. */
class ProjectWorkers {
  readonly cursors = new Set<WorkerCursor>();
  private readonly timer: NodeJS.Timeout;
  private reading = false;
  private latest: ReadonlyMap<WorkerId, Seen> | null = null;

  constructor(
    private readonly source: () => Promise<readonly WorkerRecord[]>,
    private readonly logger: Logger,
    pollMs: number,
    private readonly onEmpty: () => void,
  ) {
    this.timer = setInterval(() => void this.read(), pollMs);
    void this.read();
  }

  subscribe(): WorkerCursor {
    const cursor = new WorkerCursor(() => this.remove(cursor));
    this.cursors.add(cursor);
    if (this.latest !== null) cursor.offer(this.latest);
    return cursor;
  }

  private async read(): Promise<void> {
    // A slow database must not get a second question before it has answered the first.
    if (this.reading) return;
    this.reading = true;
    try {
      const workers = await this.source();
      const latest = new Map(workers.map((worker) => [worker.id, { worker, fingerprint: fingerprintOf(worker) }]));
      this.latest = latest;
      for (const cursor of this.cursors) cursor.offer(latest);
    } catch (err) {
      this.logger.warn({ err }, 'the workers could not be read for their subscribers; trying again');
    } finally {
      this.reading = false;
    }
  }

  private remove(cursor: WorkerCursor): void {
    this.cursors.delete(cursor);
    if (this.cursors.size > 0) return;
    clearInterval(this.timer);
    this.onEmpty();
  }
}

/** What changes with every heartbeat is no change, nor how many runs are queued, but for what `whyIdle` makes of it. */
function fingerprintOf(worker: WorkerRecord): string {
  const lastSeenAt = worker.online ? null : worker.lastSeenAt;
  return JSON.stringify({ ...worker, residentBytes: 0, queuedRuns: 0, lastSeenAt, whyIdle: whyIdle(worker) });
}

/** What one subscriber has been given, and what is so now. */
class WorkerCursor extends SubscriptionCursor<WorkersChange> {
  private readonly given = new Map<WorkerId, string>();
  private latest: ReadonlyMap<WorkerId, Seen> | null = null;
  private isFirst = true;

  /** What is so now; what was offered before and not taken is forgotten. */
  offer(latest: ReadonlyMap<WorkerId, Seen>): void {
    this.latest = latest;
    this.wake();
  }

  protected pull(): WorkersChange | Promise<undefined> {
    return this.difference() ?? this.sleep();
  }

  protected forget(): void {
    this.latest = null;
  }

  /** Between what is so and what was given; null where there is none. */
  private difference(): WorkersChange | null {
    const { latest, given, isFirst: snapshot } = this;
    this.latest = null;
    if (latest === null) return null;
    const changed = [...latest.values()].filter(({ worker, fingerprint }) => given.get(worker.id) !== fingerprint);
    const gone = [...given.keys()].filter((id) => !latest.has(id));
    if (!snapshot && changed.length === 0 && gone.length === 0) return null;
    for (const { worker, fingerprint } of changed) given.set(worker.id, fingerprint);
    for (const id of gone) given.delete(id);
    this.isFirst = false;
    return { snapshot, workers: changed.map(({ worker }) => worker), gone };
  }
}
