import type { Clock } from '@roentgen/domain';
import type { Bus } from '@roentgen/messaging';

/**
 * Whether the broker still answers. A connection that stands proves nothing: a broker that hangs (stopped, swapping, out of disk) keeps it open, and nobody
 * can be heard meanwhile.
 */
export class BrokerPulse {
  private askedMs: number | null = null;

  constructor(
    private readonly bus: Pick<Bus, 'connected' | 'flush'>,
    private readonly clock: Clock,
  ) {}

  /** Asks, unless an answer is still due. How long one has been due by then, ms; Infinity without a connection. */
  check(): number {
    if (!this.bus.connected) return Infinity;
    const nowMs = this.clock.now().getTime();
    if (this.askedMs !== null) return nowMs - this.askedMs;
    this.askedMs = nowMs;
    const answered = () => {
      this.askedMs = null;
    };
    this.bus.flush().then(answered, answered);
    return 0;
  }
}
