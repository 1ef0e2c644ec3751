import { setTimeout as sleep } from 'node:timers/promises';
import { RoentgenError, coerceError, type ChunkId, type WorkerId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { ChunkClaim, ChunkResult, type ChunkOutcome, type ChunkWork } from '@roentgen/protocol';

export interface ChunkDeskOptions {
  readonly bus: Pick<Bus, 'request'>;
  readonly workerId: WorkerId;
  readonly logger: Logger;
  readonly requestTimeoutMs?: number;
  readonly workingEveryMs?: number;
  readonly resultRetryMs?: readonly number[];
  /** Told what became of each chunk that was worked on. */
  readonly onOutcome?: (kind: ChunkWork['kind'], outcome: ChunkOutcome, seconds: number) => void;
}

export interface ChunkDelivery {
  working(): void;
}

export type ChunkVerdict = 'ack' | { readonly nakAfterMs: number };

const REQUEST_TIMEOUT_MS = 10_000;
const WORKING_EVERY_MS = 15_000;
/** Pauses between attempts to hand in a result; the last one again and again, for as long as one lease. */
const RESULT_RETRY_MS = [250, 500, 1000, 2000, 4000, 8000];
/** A coordinator that refuses the same result so often will not take it. */
const REFUSALS_BEFORE_FAILED = 3;
/** Nobody has looked at the result. */
const NOT_ANSWERED = new Set(['NO_RESPONDERS', 'BUS_TIMEOUT', 'UNAVAILABLE', 'STORE_FULL', 'DATABASE_FULL']);
/** It will be refused again. */
const FINAL_REFUSALS = new Set(['CONFLICT', 'INVALID_MESSAGE', 'UNKNOWN_MESSAGE_VERSION', 'MESSAGE_TOO_LARGE']);
const CLAIM_RETRY_MS = 2_000;
const RESULT_LOST_RETRY_MS = 5_000;

/** Causes that may be gone at another try, or on another worker. */
const PASSING_CAUSES = new Set(['UNAVAILABLE', 'STORE_FULL', 'OUT_OF_MEMORY', 'LOCAL_DISK', 'INTERNAL']);

/** Claims chunks and hands in what became of them. The queue only says that there may be work; the coordinator's rows decide. */
export class ChunkDesk {
  private readonly held = new Map<string, ChunkId>();

  constructor(private readonly options: ChunkDeskOptions) {}

  /** The chunks that are worked on, for the heartbeat: their leases go on while they are named there. */
  get holding(): { chunkId: ChunkId; token: string }[] {
    return [...this.held].map(([token, chunkId]) => ({ chunkId, token }));
  }

  /** One delivery from claim to result. Never throws. */
  async work(chunkId: ChunkId, delivery: ChunkDelivery, handle: (work: ChunkWork) => Promise<ChunkOutcome>): Promise<ChunkVerdict> {
    const { bus, workerId, logger, requestTimeoutMs = REQUEST_TIMEOUT_MS, workingEveryMs = WORKING_EVERY_MS } = this.options;
    const keepAlive = setInterval(() => delivery.working(), workingEveryMs);
    try {
      const claim = await bus.request(ChunkClaim, [workerId], { chunkId, workerId }, { timeoutMs: requestTimeoutMs });
      // Done, or another's: if that one is lost, the coordinator announces the chunk anew.
      if (!claim.granted) return 'ack';
      this.held.set(claim.token, chunkId);
      try {
        const startedMs = performance.now();
        const outcome = await this.outcomeOf(chunkId, claim.work, handle);
        this.options.onOutcome?.(claim.work.kind, outcome, (performance.now() - startedMs) / 1_000);
        return await this.handIn(chunkId, claim, outcome);
      } finally {
        this.held.delete(claim.token);
      }
    } catch (err) {
      logger.warn({ err, chunkId }, 'no coordinator answered the claim of a chunk; it goes back to the queue');
      return { nakAfterMs: CLAIM_RETRY_MS };
    } finally {
      clearInterval(keepAlive);
    }
  }

  private async outcomeOf(chunkId: ChunkId, work: ChunkWork, handle: (work: ChunkWork) => Promise<ChunkOutcome>): Promise<ChunkOutcome> {
    try {
      return await handle(work);
    } catch (thrown) {
      const error = coerceError(thrown);
      const code = error instanceof RoentgenError ? error.code : 'INTERNAL';
      this.options.logger.error({ err: error, chunkId, kind: work.kind }, 'chunk failed');
      return { kind: 'failed', code, message: error.message, retryable: PASSING_CAUSES.has(code) };
    }
  }

  /** Until it is recorded, refused for good, or the lease is over in which nobody answered. */
  private async handIn(chunkId: ChunkId, claim: { token: string; leaseMs: number }, outcome: ChunkOutcome): Promise<ChunkVerdict> {
    const { logger, resultRetryMs = RESULT_RETRY_MS } = this.options;
    const deadlineMs = performance.now() + claim.leaseMs;
    for (let tries = 0, refusals = 0; ; tries++) {
      const error = await this.tryHandIn(chunkId, claim.token, outcome);
      if (error === null) return 'ack';
      const code = error instanceof RoentgenError ? error.code : 'INTERNAL';
      if (code === 'STALE_TOKEN') {
        logger.warn({ chunkId }, 'the chunk was given to another worker in the meantime');
        return 'ack';
      }
      logger.warn({ err: error, chunkId }, 'the result of a chunk could not be handed in');
      if (!NOT_ANSWERED.has(code)) refusals++;
      if (FINAL_REFUSALS.has(code) || refusals >= REFUSALS_BEFORE_FAILED)
        return await this.handInRefusal(chunkId, claim.token, code, error);
      const pauseMs = resultRetryMs[Math.min(tries, resultRetryMs.length - 1)] ?? 0;
      if (performance.now() + pauseMs > deadlineMs) return { nakAfterMs: RESULT_LOST_RETRY_MS };
      await sleep(pauseMs);
    }
  }

  /** A result that is not taken becomes a failure of the chunk, with the reason: another worker may do better, and the claims are counted. */
  private async handInRefusal(chunkId: ChunkId, token: string, code: string, refusal: Error): Promise<ChunkVerdict> {
    const message = `The coordinator did not take the result of the chunk (${code}): ${refusal.message}`;
    const error = await this.tryHandIn(chunkId, token, { kind: 'failed', code: 'RESULT_REFUSED', message, retryable: true });
    return error === null ? 'ack' : { nakAfterMs: RESULT_LOST_RETRY_MS };
  }

  private async tryHandIn(chunkId: ChunkId, token: string, outcome: ChunkOutcome): Promise<Error | null> {
    const { bus, workerId, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.options;
    try {
      await bus.request(ChunkResult, [workerId], { chunkId, token, outcome }, { timeoutMs: requestTimeoutMs });
      return null;
    } catch (thrown) {
      return coerceError(thrown);
    }
  }
}
