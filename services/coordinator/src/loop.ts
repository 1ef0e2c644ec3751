import type { Logger } from '@roentgen/logger';

/**
 * Does one thing again and again, never twice at once: after a pause, or at once when woken. A failure is logged and the next turn comes as
 * usual, so an outage of a part ends by itself.
 */
export class Loop {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | null = null;
  private wakeAgain = false;
  private stopped = true;
  private failing = false;

  constructor(
    private readonly name: string,
    private readonly pauseMs: number,
    private readonly turn: () => Promise<void>,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.stopped = false;
    this.wake();
  }

  /** Runs a turn as soon as possible; one that comes while a turn is running is not lost. */
  wake(): void {
    if (this.stopped) return;
    if (this.running !== null) {
      this.wakeAgain = true;
      return;
    }
    clearTimeout(this.timer);
    this.running = this.runTurn();
  }

  /** No further turn; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async runTurn(): Promise<void> {
    try {
      await this.turn();
      if (this.failing) this.logger.info({ loop: this.name }, 'works again');
      this.failing = false;
    } catch (err) {
      // Said once, not at every turn of an outage.
      if (!this.failing) this.logger.error({ err, loop: this.name }, 'a turn failed; trying again');
      this.failing = true;
    }
    this.running = null;
    if (this.stopped) return;
    if (this.wakeAgain && !this.failing) {
      this.wakeAgain = false;
      this.wake();
    } else {
      this.timer = setTimeout(() => this.wake(), this.pauseMs);
    }
  }
}
