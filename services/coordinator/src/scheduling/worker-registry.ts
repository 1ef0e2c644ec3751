import type { Clock, HeldWait, WorkerId, WorkerRuntime } from '@roentgen/domain';
import type { HeldAttempt, WorkerHeartbeat } from '@roentgen/protocol';
import type { z } from 'zod';

export type Heartbeat = z.infer<typeof WorkerHeartbeat.schema>;

/** A worker as this coordinator last heard it. */
export interface KnownWorker {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly state: Heartbeat['state'];
  readonly holding: HeldAttempt | null;
  /** Why it does not go on with what it holds. */
  readonly waiting: HeldWait | null;
  readonly chunks: Heartbeat['chunks'];
  readonly lastSeenMs: number;
  /** When it last made progress with what it holds, or took it, or said that it waits for somebody else. */
  readonly progressAtMs: number;
  /** Null: it does not tell. */
  readonly runtime: WorkerRuntime | null;
  /** Until then it gets no offer: it refused one. */
  readonly restsUntilMs: number;
}

/** Who is alive, from heartbeats alone. Forgets nobody who might still hold something. */
export class WorkerRegistry {
  private readonly workers = new Map<WorkerId, { heartbeat: Heartbeat; lastSeenMs: number; progressAtMs: number }>();
  private readonly restsUntilMs = new Map<WorkerId, number>();
  private readonly changed = new Set<WorkerId>();
  private listensSinceMs: number;

  constructor(
    private readonly lostAfterMs: number,
    private readonly clock: Clock,
  ) {
    this.listensSinceMs = this.nowMs;
  }

  heard(heartbeat: Heartbeat): void {
    const { nowMs } = this;
    const before = this.workers.get(heartbeat.workerId);
    const progressAtMs = before === undefined || hasMoved(before.heartbeat, heartbeat) ? nowMs : before.progressAtMs;
    this.workers.set(heartbeat.workerId, { heartbeat, lastSeenMs: nowMs, progressAtMs });
    this.changed.add(heartbeat.workerId);
  }

  /** Workers heard within the limit, those longest idle first by name so that the choice is repeatable. */
  alive(): KnownWorker[] {
    const since = this.nowMs - this.lostAfterMs;
    return [...this.workers.values()]
      .filter(({ lastSeenMs }) => lastSeenMs >= since)
      .map(({ heartbeat, lastSeenMs, progressAtMs }) => ({
        workerId: heartbeat.workerId,
        name: heartbeat.name,
        state: heartbeat.state,
        holding: heartbeat.holding,
        waiting: heartbeat.waiting,
        runtime: heartbeat.runtime,
        chunks: heartbeat.chunks,
        lastSeenMs,
        progressAtMs,
        restsUntilMs: this.restsUntilMs.get(heartbeat.workerId) ?? 0,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.workerId < b.workerId ? -1 : 1));
  }

  /** The worker refused an offer: the same again at once would be refused again. */
  refused(workerId: WorkerId): void {
    this.restsUntilMs.set(workerId, this.nowMs + this.lostAfterMs);
  }

  /** Nothing could be heard, or written down, until now: silence before this moment says nothing about a worker. */
  listenAnew(): void {
    this.listensSinceMs = this.nowMs;
  }

  /** Since when this coordinator could have heard anybody: a worker is not lost for silence before that. */
  get listeningSinceMs(): number {
    return this.listensSinceMs;
  }

  /** Whether silence tells anything yet: whoever lives has been heard by now. */
  get knowsWhoIsSilent(): boolean {
    return this.nowMs - this.listensSinceMs > this.lostAfterMs;
  }

  /** Heartbeats that came since the last call, to be written down. */
  takeChanged(): { heartbeat: Heartbeat; silentMs: number }[] {
    const { nowMs } = this;
    const taken = [...this.changed].flatMap((id) => {
      const known = this.workers.get(id);
      return known === undefined ? [] : [{ heartbeat: known.heartbeat, silentMs: Math.max(0, nowMs - known.lastSeenMs) }];
    });
    this.changed.clear();
    this.forgetLongGone();
    return taken;
  }

  private get nowMs(): number {
    return this.clock.now().getTime();
  }

  private forgetLongGone(): void {
    const before = this.nowMs - 100 * this.lostAfterMs;
    for (const [id, { lastSeenMs }] of this.workers) {
      if (lastSeenMs >= before) continue;
      this.workers.delete(id);
      this.restsUntilMs.delete(id);
    }
  }
}

/** One that waits for the store or for the database does not stand still by itself, and starts anew afterwards. */
function hasMoved(before: Heartbeat, now: Heartbeat): boolean {
  return (
    now.progressCounter !== before.progressCounter || now.holding?.attemptId !== before.holding?.attemptId || (now.waiting ?? null) !== null
  );
}
