import { setTimeout as delay } from 'node:timers/promises';
import { coerceError } from '@roentgen/domain';

export interface RetryPolicy {
  readonly attempts: number;
  /** Wait before the second attempt; doubled for each further one. */
  readonly firstDelayMs: number;
}

/** Four attempts within about 1.5 s: bridges a dropped connection or a store that restarts, not one that is away. */
export const DEFAULT_RETRY: RetryPolicy = { attempts: 4, firstDelayMs: 200 };

/** Repeats an action that may be done twice without harm, as long as its failure may pass. The last error is thrown as it was. */
export async function withRetries<T>(policy: RetryPolicy, mayPass: (error: Error) => boolean, action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (thrown) {
      if (attempt >= policy.attempts || !mayPass(coerceError(thrown))) throw thrown;
      // Half of the wait is chance, so that workers that failed together do not come back together.
      const longest = policy.firstDelayMs * 2 ** (attempt - 1);
      await delay(longest / 2 + (Math.random() * longest) / 2);
    }
  }
}
