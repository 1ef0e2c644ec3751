import type { Clock } from '@roentgen/domain';
import type { Bus } from '@roentgen/messaging';

/**
 * Whether the broker still answers. A connection that stands proves nothing: a broker that hangs (stopped, swapping, out of disk) keeps it open, and nobody
 * can be heard meanwhile.
 */
export class BrokerPulse {
  private askedMs: number | null = null;
  private awaySinceMs: number | null = null;
  private longestMs = 0;

  constructor(
    private readonly bus: Pick<Bus, 'connected' | 'flush'>,
    private readonly clock: Clock,
  ) {}

  /** Asks, unless an answer is still due. The longest that one has been due for since the last look, ms; Infinity without a connection. */
  check(): number {
    const nowMs = this.clock.now().getTime();
    if (!this.bus.connected) {
      this.awaySinceMs ??= nowMs;
      return Infinity;
    }
    if (this.awaySinceMs !== null) this.longestMs = Math.max(this.longestMs, nowMs - this.awaySinceMs);
    this.awaySinceMs = null;
    // Whoever looks may have been busy while the broker hung, and came back.
    const dueMs = Math.max(this.longestMs, this.askedMs === null ? 0 : nowMs - this.askedMs);
    this.longestMs = 0;
    if (this.askedMs === null) this.ask(nowMs);
    return dueMs;
  }

  private ask(nowMs: number): void {
    this.askedMs = nowMs;
    const answered = () => {
      this.longestMs = Math.max(this.longestMs, this.clock.now().getTime() - nowMs);
      this.askedMs = null;
    };
    this.bus.flush().then(answered, answered);
  }
}
