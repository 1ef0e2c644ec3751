import type { Clock, WorkerId } from '@roentgen/domain';
import type { HeldAttempt, WorkerHeartbeat } from '@roentgen/protocol';
import type { z } from 'zod';

export type Heartbeat = z.infer<typeof WorkerHeartbeat.schema>;

/** A worker as this coordinator last heard it. */
export interface KnownWorker {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly state: Heartbeat['state'];
  readonly holding: HeldAttempt | null;
  readonly lastSeenMs: number;
}

/** Who is alive, from heartbeats alone. Forgets nobody who might still hold something. */
export class WorkerRegistry {
  private readonly workers = new Map<WorkerId, { heartbeat: Heartbeat; lastSeenMs: number }>();
  private readonly startedMs: number;
  private readonly changed = new Set<WorkerId>();

  constructor(
    private readonly lostAfterMs: number,
    private readonly clock: Clock,
  ) {
    this.startedMs = clock.now().getTime();
  }

  heard(heartbeat: Heartbeat): void {
    this.workers.set(heartbeat.workerId, { heartbeat, lastSeenMs: this.clock.now().getTime() });
    this.changed.add(heartbeat.workerId);
  }

  /** Workers heard within the limit, those longest idle first by name so that the choice is repeatable. */
  alive(): KnownWorker[] {
    const since = this.clock.now().getTime() - this.lostAfterMs;
    return [...this.workers.values()]
      .filter(({ lastSeenMs }) => lastSeenMs >= since)
      .map(({ heartbeat, lastSeenMs }) => ({
        workerId: heartbeat.workerId,
        name: heartbeat.name,
        state: heartbeat.state,
        holding: heartbeat.holding,
        lastSeenMs,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.workerId < b.workerId ? -1 : 1));
  }

  /** Since when this coordinator could have heard anybody: a worker is not lost for silence before that. */
  get listeningSinceMs(): number {
    return this.startedMs;
  }

  /** Heartbeats that came since the last call, to be written down. */
  takeChanged(): { heartbeat: Heartbeat; lastSeenAt: Date }[] {
    const taken = [...this.changed].flatMap((id) => {
      const known = this.workers.get(id);
      return known === undefined ? [] : [{ heartbeat: known.heartbeat, lastSeenAt: new Date(known.lastSeenMs) }];
    });
    this.changed.clear();
    this.forgetLongGone();
    return taken;
  }

  private forgetLongGone(): void {
    const before = this.clock.now().getTime() - 100 * this.lostAfterMs;
    for (const [id, { lastSeenMs }] of this.workers) if (lastSeenMs < before) this.workers.delete(id);
  }
}
