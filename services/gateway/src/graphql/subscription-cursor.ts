const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * One subscriber's place in what it follows. Not a generator: the `return()` of a generator waits for its next value, and a client that leaves while
 * nothing happens would stay for ever.
 */
export abstract class SubscriptionCursor<T> implements AsyncIterableIterator<T, undefined> {
  private isClosed = false;
  private wakeUp: (() => void) | null = null;
  private turn: Promise<unknown> = Promise.resolve();

  /** @param onClose called once, whoever closes: the subscriber, its iterator's error, or the source */
  constructor(private readonly onClose: () => void) {}

  next(): Promise<IteratorResult<T, undefined>> {
    // One at a time, in the order of the calls.
    const result = this.turn.then(() => this.take());
    this.turn = result.catch(() => undefined);
    return result;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.resolve(DONE);
  }

  throw(error: unknown): Promise<IteratorResult<T, undefined>> {
    this.close();
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next value. Undefined where there is none yet: it is asked again, and has to `sleep` where only a `wake` can change that. */
  protected abstract pull(): T | undefined | Promise<undefined>;
  /** Lets go of what it holds; nothing is pulled any more. */
  protected abstract forget(): void;

  protected get closed(): boolean {
    return this.isClosed;
  }

  /** Whether the subscriber waits for a `wake`. */
  protected get isAsleep(): boolean {
    return this.wakeUp !== null;
  }

  protected sleep(): Promise<undefined> {
    if (this.isClosed) return Promise.resolve(undefined);
    return new Promise((resolve) => (this.wakeUp = () => resolve(undefined)));
  }

  protected wake(): void {
    this.wakeUp?.();
    this.wakeUp = null;
  }

  protected close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.forget();
    this.wake();
    this.onClose();
  }

  private async take(): Promise<IteratorResult<T, undefined>> {
    while (!this.isClosed) {
      const pulled = this.pull();
      const value = pulled instanceof Promise ? await pulled : pulled;
      if (value !== undefined) return { done: false, value };
    }
    return DONE;
  }
}
