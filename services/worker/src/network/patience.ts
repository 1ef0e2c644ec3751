import { setTimeout as sleep } from 'node:timers/promises';
import { RoentgenError, UnavailableError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { AttemptEndedError } from '../errors.js';

export interface Patience {
  /** How long the store may be away before the work fails. */
  readonly patienceMs: number;
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

export const STORE_PATIENCE: Patience = { patienceMs: 300_000, firstPauseMs: 200, longestPauseMs: 10_000 };

export interface PatientOptions extends Partial<Patience> {
  readonly logger: Logger;
  /** The work is no longer wanted: not even begun again. */
  readonly signal?: AbortSignal;
  /** The work should come to an end soon: what fails now is not worth waiting for. */
  readonly inHurry?: () => boolean;
}

/**
 * Tries again while the object store cannot be reached, so that its restart holds a run up instead of failing it. Errors that say something
 * about the object itself are not repeated: they are the ones made on purpose, but for UNAVAILABLE.
 * @throws UnavailableError when patience has run out, AttemptEndedError when the signal came first
 */
export async function patiently<T>(what: string, operation: () => Promise<T>, options: PatientOptions): Promise<T> {
  const { patienceMs, firstPauseMs, longestPauseMs } = { ...STORE_PATIENCE, ...options };
  const deadlineMs = performance.now() + patienceMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    if (options.signal?.aborted === true) throw new AttemptEndedError(`${what}: no longer wanted.`);
    try {
      return await operation();
    } catch (thrown) {
      const error = coerceError(thrown);
      if (error instanceof RoentgenError && error.code !== 'UNAVAILABLE') throw error;
      if (performance.now() + pauseMs > deadlineMs || options.inHurry?.() === true) {
        throw new UnavailableError(`${what}: the object store does not work, last with: ${error.message}`, { what }, { cause: error });
      }
      options.logger.warn({ err: error, pauseMs }, `${what}: failed, trying again`);
      await pause(pauseMs, options.signal);
    }
  }
}

/** Ends early when the signal comes; whoever loops looks at it next. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
