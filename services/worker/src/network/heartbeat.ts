/** Calls back at a fixed pace from the thread that it lives in; the first time at once. */
export class Heartbeat {
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly beat: () => void,
    private readonly intervalMs: number,
  ) {}

  start(): void {
    if (this.timer) return;
    this.beat();
    this.timer = setInterval(this.beat, this.intervalMs);
  }

  /** Beats now besides: something changed that others should know soon. */
  now(): void {
    if (this.timer) this.beat();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }
}
