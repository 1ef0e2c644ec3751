import { setTimeout as sleep } from 'node:timers/promises';
import { RoentgenError, StoreFullError, UnavailableError, coerceError, type HeldWait } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { isTransientStoreError } from '@roentgen/storage';
import { AttemptEndedError } from '../errors.js';
import type { Waits } from './waits.js';

export interface Patience {
  /** How long the store may be away before the work fails. */
  readonly patienceMs: number;
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

export const STORE_PATIENCE: Patience = { patienceMs: 300_000, firstPauseMs: 200, longestPauseMs: 10_000 };

/** How often work that pauses looks whether it should come to an end. */
const LOOK_UP_MS = 500;

export interface PatientOptions extends Partial<Patience> {
  readonly logger: Logger;
  /** The work is no longer wanted: not even begun again. */
  readonly signal?: AbortSignal;
  /** The work should come to an end soon: what fails now is not worth waiting for. */
  readonly inHurry?: () => boolean;
  /** Where it is told what is waited for. */
  readonly waits?: Waits;
  /** Told of each operation that came through, and of each part of one that is long. */
  readonly onProgress?: () => void;
}

/**
 * Tries again while the object store cannot be reached, so that its restart holds a run up instead of failing it; for as long as it is full, since
 * what is done again would find it as full. All other errors are not the store's, or say something about the object itself: asked again they would be
 * the same, and called an outage they would never be held against anybody.
 * @throws UnavailableError when patience has run out, AttemptEndedError when the signal came first
 */
export async function patiently<T>(what: string, operation: () => Promise<T>, options: PatientOptions): Promise<T> {
  const { patienceMs, firstPauseMs, longestPauseMs } = { ...STORE_PATIENCE, ...options };
  let deadlineMs = performance.now() + patienceMs;
  const call = Symbol(what);
  try {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (options.signal?.aborted === true) throw new AttemptEndedError(`${what}: no longer wanted.`);
      try {
        const result = await operation();
        options.onProgress?.();
        return result;
      } catch (thrown) {
        const error = coerceError(thrown);
        if (!(error instanceof UnavailableError) && !breaksOff(error)) throw error;
        if (error instanceof StoreFullError) deadlineMs = performance.now() + patienceMs;
        if (performance.now() + pauseMs > deadlineMs || options.inHurry?.() === true) throw lastOf(what, error);
        options.logger.warn({ err: error, pauseMs }, `${what}: failed, trying again`);
        options.waits?.begin(call, storeWait(what, error));
        await pause(pauseMs, options);
      }
    }
  } finally {
    options.waits?.end(call);
  }
}

/** What comes from a connection itself, such as in the middle of a stream, where the store has no say any more. */
const breaksOff = (error: Error): boolean => !(error instanceof RoentgenError) && isTransientStoreError(error);

function storeWait(what: string, error: Error): HeldWait {
  return error instanceof StoreFullError
    ? {
        code: 'STORE_FULL',
        message: `${what}: the object store has no room. Space has to be freed there, or its disk made larger; training goes on by itself then.`,
      }
    : { code: 'STORE_AWAY', message: `${what}: the object store does not answer. It is asked again until it does.` };
}

function lastOf(what: string, error: Error): UnavailableError {
  if (error instanceof StoreFullError) return new StoreFullError(`${what}: ${error.message}`, { what }, { cause: error });
  return new UnavailableError(`${what}: the object store does not work, last with: ${error.message}`, { what }, { cause: error });
}

/** Ends early when the signal comes, or haste; whoever loops looks at them next. */
async function pause(ms: number, { signal, inHurry }: PatientOptions): Promise<void> {
  for (let leftMs = ms; leftMs > 0 && signal?.aborted !== true && inHurry?.() !== true; leftMs -= LOOK_UP_MS) {
    await sleep(Math.min(leftMs, LOOK_UP_MS), undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}
