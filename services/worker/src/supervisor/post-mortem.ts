import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RoentgenError, RunEventInputSchema, coerceError, type RunFailure, type WorkerId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { RecordEvents, type HeldAttempt } from '@roentgen/protocol';
import { isOutOfMemory } from '../compute/failure.js';
import type { WorkerConfig } from '../config.js';

/** How a compute process ended that should have gone on. */
export interface Death {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines that it, or TensorFlow in it, wrote to standard error; log lines are not among them. */
  readonly lastWords: string;
  /** It was asked to stop, did not in time, and was killed. */
  readonly stopping: boolean;
  /** The kernel killed processes of this container for want of memory meanwhile. */
  readonly killedForMemory: boolean;
}

/** What a death means for the attempt that the process held. */
export function failureOfDeath({ code, signal, lastWords, stopping, killedForMemory }: Death): RunFailure {
  const how = signal === null ? `exit code ${code}` : signal;
  const details = { signal, exitCode: code, lastWords };
  if (stopping) {
    const message =
      'the worker is shutting down and its compute process did not reach the end of a step in time: the run goes on from its last checkpoint.';
    return { code: 'WORKER_STOPPING', message, details };
  }
  const outOfMemory = isOutOfMemory(lastWords) || (signal === 'SIGKILL' && killedForMemory);
  const words = lastWords === '' ? '' : ` Its last words: ${lastWords}`;
  if (outOfMemory) {
    const fix = 'Use a smaller microBatchSize, imageSizePx or variant, or a worker with more memory.';
    return { code: 'OUT_OF_MEMORY', message: `the compute process ran out of memory (${how}). ${fix}${words}`, details };
  }
  return { code: 'COMPUTE_PROCESS_DIED', message: `the compute process ended with ${how}.${words}`, details };
}

/** How many processes of this container the kernel has killed for want of memory; null where it does not tell. @param text of memory.events */
export function memoryKills(text: string | null = readMemoryEvents()): number | null {
  const count = /^oom_kill (\d+)$/m.exec(text ?? '')?.[1];
  return count === undefined ? null : Number(count);
}

function readMemoryEvents(): string | null {
  try {
    return readFileSync('/sys/fs/cgroup/memory.events', 'utf8');
  } catch {
    return null;
  }
}

const REQUEST_TIMEOUT_MS = 2_000;
const TRIES = 3;
const RETRY_MS = 500;

/**
 * Tells the coordinator what became of an attempt whose process cannot. Gives up after some seconds: then the coordinator takes the attempt for
 * lost, and says less. Never throws.
 */
export async function reportDeath(
  config: Pick<WorkerConfig, 'nats' | 'name'> & { readonly workerId: WorkerId },
  held: HeldAttempt,
  failure: RunFailure,
  logger: Logger,
): Promise<void> {
  const { workerId } = config;
  const event = RunEventInputSchema.parse({
    eventId: `${held.attemptId}/${workerId}/death/${randomUUID()}`,
    kind: 'ATTEMPT_FAILED',
    occurredAt: new Date().toISOString(),
    attemptId: held.attemptId,
    workerId,
    message: failure.message,
    failure,
  });
  let bus: Bus | null = null;
  try {
    bus = await Bus.connect(
      { ...config.nats, role: 'worker', name: `${config.name}-supervisor`, startupTimeoutMs: REQUEST_TIMEOUT_MS },
      logger,
    );
    for (let tries = 1; ; tries++) {
      try {
        await bus.request(RecordEvents, [workerId], { ...held, workerId, events: [event] }, { timeoutMs: REQUEST_TIMEOUT_MS });
        return;
      } catch (error) {
        if (tries === TRIES || (error instanceof RoentgenError && error.code === 'STALE_TOKEN')) throw error;
        await sleep(RETRY_MS);
      }
    }
  } catch (thrown) {
    logger.warn({ err: coerceError(thrown), runId: held.runId }, 'the end of the compute process could not be reported');
  } finally {
    await bus?.close().catch(() => undefined);
  }
}
