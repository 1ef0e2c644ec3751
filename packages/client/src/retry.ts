import { setTimeout as delay } from 'node:timers/promises';

export interface RetryPolicy {
  /** How often it is tried at most, the first time included. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** It is tried for so long in any case, however often that is; default 0. */
  readonly forMs?: number;
}

export const RETRY_POLICY: RetryPolicy = { attempts: 5, firstDelayMs: 200, longestDelayMs: 5_000 };

/** Pause before try `attempt` + 1 (1-based): doubles each time, with up to half of it taken off at random so that clients do not come back in step. */
export function backoffMs(policy: RetryPolicy, attempt: number, random: () => number = Math.random): number {
  const full = Math.min(policy.firstDelayMs * 2 ** (attempt - 1), policy.longestDelayMs);
  return Math.round(full * (1 - random() / 2));
}

/** Runs the action until it succeeds, throws what is not `retryable`, or has been tried often and long enough; then its last error. */
export async function withRetries<T>(
  action: () => Promise<T>,
  retryable: (error: unknown) => boolean,
  policy: RetryPolicy = RETRY_POLICY,
  signal?: AbortSignal,
): Promise<T> {
  const untilMs = performance.now() + (policy.forMs ?? 0);
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      const isEnough = attempt >= policy.attempts && performance.now() >= untilMs;
      if (isEnough || !retryable(error) || signal?.aborted === true) throw error;
      await delay(backoffMs(policy, attempt), undefined, { ...(signal && { signal }) });
    }
  }
}
