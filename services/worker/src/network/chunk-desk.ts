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
}

export interface ChunkDelivery {
  working(): void;
}

export type ChunkVerdict = 'ack' | { readonly nakAfterMs: number };

const REQUEST_TIMEOUT_MS = 10_000;
const WORKING_EVERY_MS = 15_000;
/** Pauses between attempts to hand in a result: together less than a claim's lease is worth. */
const RESULT_RETRY_MS = [250, 500, 1000, 2000, 4000, 8000];
const CLAIM_RETRY_MS = 2_000;
const RESULT_LOST_RETRY_MS = 5_000;

/** Causes that may be gone at another try, or on another worker. */
const PASSING_CAUSES = new Set(['UNAVAILABLE', 'OUT_OF_MEMORY', 'INTERNAL']);

/** Claims chunks and hands in what became of them. The queue only says that there may be work; the coordinator's rows decide. */
export class ChunkDesk {
  constructor(private readonly options: ChunkDeskOptions) {}

  /** One delivery from claim to result. Never throws. */
  async work(chunkId: ChunkId, delivery: ChunkDelivery, handle: (work: ChunkWork) => Promise<ChunkOutcome>): Promise<ChunkVerdict> {
    const { bus, workerId, logger, requestTimeoutMs = REQUEST_TIMEOUT_MS, workingEveryMs = WORKING_EVERY_MS } = this.options;
    const keepAlive = setInterval(() => delivery.working(), workingEveryMs);
    try {
      const claim = await bus.request(ChunkClaim, [workerId], { chunkId, workerId }, { timeoutMs: requestTimeoutMs });
      // Done, or another's: if that one is lost, the coordinator announces the chunk anew.
      if (!claim.granted) return 'ack';
      const outcome = await this.outcomeOf(chunkId, claim.work, handle);
      return await this.handIn(chunkId, claim.token, outcome);
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

  private async handIn(chunkId: ChunkId, token: string, outcome: ChunkOutcome): Promise<ChunkVerdict> {
    const { bus, workerId, logger, requestTimeoutMs = REQUEST_TIMEOUT_MS, resultRetryMs = RESULT_RETRY_MS } = this.options;
    for (const pauseMs of [0, ...resultRetryMs]) {
      if (pauseMs > 0) await sleep(pauseMs);
      try {
        await bus.request(ChunkResult, [workerId], { chunkId, token, outcome }, { timeoutMs: requestTimeoutMs });
        return 'ack';
      } catch (thrown) {
        const error = coerceError(thrown);
        if (error instanceof RoentgenError && error.code === 'STALE_TOKEN') {
          logger.warn({ chunkId }, 'the chunk was given to another worker in the meantime');
          return 'ack';
        }
        logger.warn({ err: error, chunkId }, 'the result of a chunk could not be handed in');
      }
    }
    return { nakAfterMs: RESULT_LOST_RETRY_MS };
  }
}
