import { randomUUID } from 'node:crypto';
import {
  ObjectInRemovalError,
  type ChunkStore,
  type ChunkWorkStore,
  type ClaimedChunk,
  type Database,
  type ObjectRemovalStore,
  type Queryable,
  type WeightSetStore,
} from '@roentgen/database';
import {
  ConflictError,
  StaleTokenError,
  assertNever,
  causeOf,
  type ChunkId,
  type Clock,
  type ObjectStore,
  type WeightSetId,
} from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import type { ChunkClaim, ChunkOutcome, ChunkResult, ChunkWork } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import type { z } from 'zod';
import type { WorkerRegistry } from '../scheduling/worker-registry.js';

/** A chunk that nobody claimed for so long is put on the queue again: its message may have been lost with the broker. */
const REANNOUNCE_AFTER_MS = 120_000;
const ANNOUNCED_AT_ONCE = 500;

interface Parts {
  readonly database: Database;
  readonly bus: Bus;
  readonly registry: Pick<WorkerRegistry, 'knowsWhoIsSilent' | 'alive'>;
  readonly chunks: ChunkStore;
  readonly work: ChunkWorkStore;
  readonly weights: WeightSetStore;
  readonly removals: ObjectRemovalStore;
  readonly objects: Pick<ObjectStore, 'stat'>;
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

  /** Prolongs the leases of chunks that living workers work on, and tells the queue of every chunk that should be on it. */
  async announce(): Promise<void> {
    const { chunks, bus, clock, options, registry } = this.parts;
    // First: a lease must not run out because of an outage that has just ended.
    const alive = registry.alive();
    await chunks.renew(
      alive.flatMap((worker) => worker.chunks),
      options.chunkLeaseMs,
    );
    const workers = { lostAfterMs: registry.knowsWhoIsSilent ? options.workerLostMs : null, alive: alive.map((worker) => worker.workerId) };
    const open = await chunks.takeUnannounced(REANNOUNCE_AFTER_MS, workers, ANNOUNCED_AT_ONCE);
    const announcedAt = clock.now().getTime();
    const announced = new Set<ChunkId>();
    try {
      for (const { id, kind, claims } of open) {
        if (claims >= options.chunkMaxClaims) await this.giveUp(id, claims);
        else await bus.enqueue({ chunkId: id, kind }, `${id}-${announcedAt}`);
        announced.add(id);
      }
    } catch (thrown) {
      // Not on the queue after all: the next turn tries these again, instead of waiting for messages that never were.
      await chunks.unannounce(open.map(({ id }) => id).filter((id) => !announced.has(id)));
      throw thrown;
    }
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
    const { chunks, database, logger, options } = this.parts;
    if (
      outcome.kind === 'failed' &&
      outcome.retryable &&
      causeOf(outcome.code) === 'STORE_AWAY' &&
      (await chunks.postpone(chunkId, token))
    ) {
      // The work is not what is wrong: it is not held against the chunk, however long the store is away or full.
      logger.warn({ chunkId, code: outcome.code, reason: outcome.message }, 'chunk postponed');
      return { recorded: true };
    }
    if (outcome.kind === 'failed' && outcome.retryable && (await chunks.giveBack(chunkId, token, options.chunkMaxClaims))) {
      logger.warn({ chunkId, code: outcome.code, reason: outcome.message }, 'chunk given back');
      return { recorded: true };
    }
    try {
      await database.transaction('record_chunk_result', async (tx) => {
        const failure = outcome.kind === 'failed' ? { code: outcome.code, message: outcome.message } : null;
        const chunk = await chunks.finish(tx, chunkId, token, failure);
        if (chunk === null) throw staleChunk(result);
        await this.claimObjects(tx, chunk, outcome);
        await this.apply(tx, chunk, outcome);
      });
    } catch (thrown) {
      if (!(thrown instanceof ObjectInRemovalError)) throw thrown;
      // Nobody's fault: the work is done again in a while, and stores its objects anew.
      await chunks.postpone(chunkId, token);
      logger.warn({ chunkId, reason: thrown.message }, 'chunk postponed');
    }
    return { recorded: true };
  }

  /** A chunk whose every worker was lost while it had it: most likely it is what kills them. */
  private async giveUp(chunkId: ChunkId, claims: number): Promise<void> {
    const failure = {
      code: 'TOO_MANY_CLAIMS',
      message: `Given to workers ${claims} times, the most it gets (COORDINATOR_CHUNK_MAX_CLAIMS), and none came back with a result. See the workers' logs.`,
    };
    await this.parts.database.transaction('give_up_chunk', async (tx) => {
      const chunk = await this.parts.chunks.giveUp(tx, chunkId, failure);
      if (chunk !== null) await this.apply(tx, chunk, { kind: 'failed', retryable: false, ...failure });
    });
    this.parts.logger.error({ chunkId, claims }, 'chunk given up');
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
    if (chunk.weightSetId !== null) return await this.weightImport(chunk, chunk.weightSetId);
    const jobId = chunk.jobId!;
    return { kind: 'predict', projectId: chunk.projectId, jobId, ...(await work.predictionWork(chunk, jobId)) };
  }

  private async weightImport({ projectId }: ClaimedChunk, weightSetId: WeightSetId): Promise<ChunkWork> {
    const { uploadId, url, declaredBytes, ...rest } = await this.parts.weights.importOf(weightSetId);
    const common = { kind: 'import-weights', projectId, weightSetId, ...rest } as const;
    if (uploadId !== null) {
      return { ...common, from: { kind: 'upload', stagingKey: objectKeys.staging(uploadId, 0), declaredBytes: declaredBytes ?? 0 } };
    }
    return { ...common, from: url === null ? { kind: 'catalogue' } : { kind: 'url', url } };
  }

  /**
   * Before rows refer to what a worker has stored, or found stored: the janitor must not be about to remove it, and must not have since the worker looked.
   * @throws ObjectInRemovalError
   */
  private async claimObjects(tx: Queryable, { projectId }: ClaimedChunk, outcome: ChunkOutcome): Promise<void> {
    const keys =
      outcome.kind === 'inspected'
        ? outcome.files.flatMap(({ image }) => (image === null ? [] : [objectKeys.image(projectId, image.sha256)]))
        : outcome.kind === 'weights-imported'
          ? [objectKeys.weights(projectId, outcome.weights.sha256)]
          : [];
    if (keys.length === 0) return;
    for (const key of await this.parts.removals.claim(tx, keys)) {
      if ((await this.parts.objects.stat(key)) === null) {
        throw new ObjectInRemovalError(`The object ${key} was removed after a worker had found it: it is stored again.`, { key });
      }
    }
  }

  /** The caller has ended the chunk in this transaction. @throws ConflictError when the result is not about each of the chunk's rows, once */
  private async apply(tx: Queryable, chunk: ClaimedChunk, outcome: ChunkOutcome): Promise<void> {
    const { work, weights } = this.parts;
    switch (outcome.kind) {
      case 'inspected':
        if (!(await work.applyInspection(tx, chunk, outcome.files))) throw wrongOutcome(chunk, outcome.kind);
        break;
      case 'predicted':
        if (!(await work.applyPredictions(tx, chunk, outcome.images, outcome.engine))) throw wrongOutcome(chunk, outcome.kind);
        break;
      case 'weights-imported':
        if (chunk.weightSetId === null || !(await weights.markReady(tx, chunk.weightSetId, outcome.weights))) {
          throw wrongOutcome(chunk, outcome.kind);
        }
        break;
      case 'failed':
        if (chunk.weightSetId !== null) await weights.markFailed(tx, chunk.weightSetId, outcome);
        else if (chunk.uploadId !== null) await work.rejectPending(tx, chunk, chunk.uploadId, outcome);
        else await work.failJob(tx, chunk.jobId!, outcome);
        break;
      default:
        assertNever(outcome);
    }
    if (chunk.uploadId !== null) await work.completeUploadIfDone(tx, chunk.uploadId);
  }
}

function staleChunk(result: Result): StaleTokenError {
  return new StaleTokenError(`Chunk ${result.chunkId} is done or was given to another worker: drop its result.`, {
    chunkId: result.chunkId,
  });
}

function wrongOutcome(chunk: ClaimedChunk, kind: ChunkOutcome['kind']): ConflictError {
  const { chunkId, firstOrdinal, lastOrdinal } = chunk;
  return new ConflictError(
    `The ${kind} result is not one of chunk ${chunkId}: a ${chunk.kind} chunk with the ordinals ${firstOrdinal} to ${lastOrdinal} takes one outcome for each of its rows` +
      `${chunk.kind === 'predict' ? ', with one probability per class of the model' : ''}.`,
    { chunkId, kind: chunk.kind },
  );
}
