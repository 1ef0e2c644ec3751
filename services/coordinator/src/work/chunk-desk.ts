import { randomUUID } from 'node:crypto';
import type { ChunkStore, ChunkWorkStore, ClaimedChunk, Database, Queryable } from '@roentgen/database';
import { StaleTokenError, assertNever, type Clock } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import type { ChunkClaim, ChunkOutcome, ChunkResult, ChunkWork } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import type { z } from 'zod';

/** A chunk that nobody claimed for so long is put on the queue again: its message may have been lost with the broker. */
const REANNOUNCE_AFTER_MS = 30_000;
const ANNOUNCED_AT_ONCE = 500;

interface Parts {
  readonly database: Database;
  readonly bus: Bus;
  readonly chunks: ChunkStore;
  readonly work: ChunkWorkStore;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly options: { readonly chunkLeaseMs: number; readonly chunkMaxClaims: number; readonly workerLostMs: number };
}

type Claim = z.infer<typeof ChunkClaim.schema>;
type ClaimReply = z.infer<typeof ChunkClaim.reply>;
type Result = z.infer<typeof ChunkResult.schema>;

/** Puts chunks on the work queue, gives them out, takes their results. */
export class ChunkDesk {
  constructor(private readonly parts: Parts) {}

  /** Tells the queue of every chunk that should be on it. */
  async announce(): Promise<void> {
    const { chunks, bus, clock, options } = this.parts;
    const open = await chunks.takeUnannounced(REANNOUNCE_AFTER_MS, options.workerLostMs, ANNOUNCED_AT_ONCE);
    const announcedAt = clock.now().getTime();
    for (const { id, kind } of open) await bus.enqueue({ chunkId: id, kind }, `${id}-${announcedAt}`);
  }

  /** The chunk's content and a token, or why not. */
  async claim(claim: Claim): Promise<ClaimReply> {
    const { chunks, options } = this.parts;
    const token = randomUUID();
    const chunk = await chunks.claim(claim.chunkId, claim.workerId, token, options.chunkLeaseMs);
    if (chunk === null) return { granted: false, reason: 'the chunk is done or claimed by another worker' };
    return { granted: true, token, leaseMs: options.chunkLeaseMs, work: await this.contentOf(chunk) };
  }

  /** @throws StaleTokenError when the chunk was given to another worker in the meantime, or is done */
  async recordResult(result: Result): Promise<{ recorded: true }> {
    const { chunkId, token, outcome } = result;
    if (outcome.kind === 'failed' && outcome.retryable && (await this.parts.chunks.claims(chunkId)) < this.parts.options.chunkMaxClaims) {
      if (!(await this.parts.chunks.giveBack(chunkId, token))) throw staleChunk(result);
      this.parts.logger.warn({ chunkId, code: outcome.code, reason: outcome.message }, 'chunk given back');
      return { recorded: true };
    }
    await this.parts.database.transaction('record_chunk_result', async (tx) => {
      const failure = outcome.kind === 'failed' ? { code: outcome.code, message: outcome.message } : null;
      const chunk = await this.parts.chunks.finish(tx, chunkId, token, failure);
      if (chunk === null) throw staleChunk(result);
      await this.apply(tx, chunk, outcome);
      if (chunk.uploadId !== null) await this.parts.work.completeUploadIfDone(tx, chunk.uploadId);
    });
    return { recorded: true };
  }

  private async contentOf(chunk: ClaimedChunk): Promise<ChunkWork> {
    const { work } = this.parts;
    if (chunk.uploadId !== null) {
      const { uploadId, projectId } = chunk;
      const files = await work.pendingFiles(chunk, uploadId);
      return {
        kind: 'inspect',
        projectId,
        uploadId,
        files: files.map((file) => ({ ...file, stagingKey: objectKeys.staging(uploadId, file.ordinal) })),
      };
    }
    const jobId = chunk.jobId!;
    return { kind: 'predict', projectId: chunk.projectId, jobId, ...(await work.predictionWork(chunk, jobId)) };
  }

  private async apply(tx: Queryable, chunk: ClaimedChunk, outcome: ChunkOutcome): Promise<void> {
    const { work } = this.parts;
    switch (outcome.kind) {
      case 'inspected':
        if (chunk.uploadId === null) throw wrongOutcome(chunk, outcome);
        return await work.applyInspection(tx, chunk.projectId, chunk.uploadId, outcome.files);
      case 'predicted':
        if (chunk.jobId === null) throw wrongOutcome(chunk, outcome);
        return await work.applyPredictions(tx, chunk.jobId, outcome.images);
      case 'failed':
        if (chunk.uploadId !== null) return await work.rejectPending(tx, chunk, chunk.uploadId, outcome);
        return await work.failJob(tx, chunk.jobId!, outcome);
      default:
        return assertNever(outcome);
    }
  }
}

function staleChunk(result: Result): StaleTokenError {
  return new StaleTokenError(`Chunk ${result.chunkId} is done or was given to another worker: drop its result.`, {
    chunkId: result.chunkId,
  });
}

function wrongOutcome(chunk: ClaimedChunk, outcome: ChunkOutcome): StaleTokenError {
  return new StaleTokenError(`Chunk ${chunk.chunkId} is a ${chunk.kind} chunk; a result of kind ${outcome.kind} does not belong to it.`, {
    chunkId: chunk.chunkId,
  });
}
