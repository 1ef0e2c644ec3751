export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
  /** A process that lived this long was healthy: the next pause is the first one again. */
  readonly healthyAfterMs: number;
}

/** How long to wait before a process is started again: twice as long each time, until it stays up. */
export class RestartBackoff {
  private nextMs: number;

  constructor(private readonly options: BackoffOptions) {
    this.nextMs = options.firstMs;
  }

  /** The pause after a process that lived for `livedMs`. */
  pauseAfter(livedMs: number): number {
    if (livedMs >= this.options.healthyAfterMs) this.nextMs = this.options.firstMs;
    const pauseMs = this.nextMs;
    this.nextMs = Math.min(this.nextMs * 2, this.options.longestMs);
    return pauseMs;
  }
}
