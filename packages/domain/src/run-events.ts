import { v7 as uuidV7 } from 'uuid';
import { z } from 'zod';
import { idSchema } from './ids.js';
import { MetricSchema } from './metrics.js';
import { RUN_STATUSES, type RunStatus } from './run-state.js';

/** What can happen to a run, in the order in which it usually does. */
export const RUN_EVENT_KINDS = [
  'RUN_QUEUED',
  'ATTEMPT_ASSIGNED', // a worker took the run
  'RUN_STARTED', // first attempt that computes
  'EPOCH_STARTED',
  'STEP_COMMITTED',
  'EVALUATED',
  'CHECKPOINT_SAVED',
  'ATTEMPT_LOST', // its worker went silent
  'ATTEMPT_FAILED',
  'RUN_REQUEUED',
  'CANCEL_REQUESTED',
  'PAUSE_REQUESTED',
  'RUN_PAUSED', // left at a step boundary, or at its last checkpoint; goes on when it is resumed
  'RUN_RESUMED',
  'RUN_SUCCEEDED',
  'RUN_FAILED',
  'RUN_CANCELLED',
] as const;

export type RunEventKind = (typeof RUN_EVENT_KINDS)[number];

/** A checkpoint as its worker announces it: the bytes are in the object store before the event is sent. */
export const SavedCheckpointSchema = z.object({
  checkpointId: idSchema('ckp'),
  epoch: z.number().int().nonnegative(),
  step: z.number().int().nonnegative(),
  /** Object key of the safetensors file; the description lies beside it with `.json` instead. */
  objectKey: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.number().int().positive(),
});
export type SavedCheckpoint = z.infer<typeof SavedCheckpointSchema>;

/** Why an attempt or a run ended badly; `code` is one of the causes a rule is written for. */
export const RunFailureSchema = z.object({
  code: z.string().min(1),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
});
export type RunFailure = z.infer<typeof RunFailureSchema>;

/**
 * One fact about a run, as its producer states it. `eventId` names the fact, not the message: the recorder takes each one once, however
 * often it is sent. Postgres gives it its `sequence`.
 */
export const RunEventInputSchema = z.object({
  /** `<attempt>/<producer>/<producerSequence>` for workers; any unique text for a state change. Unique within the run. */
  eventId: z.string().min(1).max(200),
  kind: z.enum(RUN_EVENT_KINDS),
  occurredAt: z.iso.datetime(),
  attemptId: idSchema('att').nullable().default(null),
  workerId: idSchema('wkr').nullable().default(null),
  /** Epochs count from 1; null where the event has none. */
  epoch: z.number().int().nonnegative().nullable().default(null),
  /** Steps committed so far, over all epochs: optimiser updates, except those that fp16 had to skip; null where the event has none. */
  step: z.number().int().nonnegative().nullable().default(null),
  status: z.enum(RUN_STATUSES).nullable().default(null),
  message: z.string().nullable().default(null),
  metrics: z.array(MetricSchema).default([]),
  checkpoint: SavedCheckpointSchema.nullable().default(null),
  failure: RunFailureSchema.nullable().default(null),
});
export type RunEventInput = z.infer<typeof RunEventInputSchema>;

/** A recorded event: numbered 1..n without a gap within its run. */
export const RunEventSchema = RunEventInputSchema.extend({
  runId: idSchema('run'),
  sequence: z.number().int().positive(),
  recordedAt: z.iso.datetime(),
});
export type RunEvent = z.infer<typeof RunEventSchema>;

/** Whether the stream of a run ends with this event. */
export function endsRun(kind: RunEventKind): boolean {
  return kind === 'RUN_SUCCEEDED' || kind === 'RUN_FAILED' || kind === 'RUN_CANCELLED';
}

/**
 * An event that goes with a change of state by a coordinator or a gateway. It is appended in the transaction that makes it true, so a fresh id is
 * enough. `status`: the state that the run has from here on; null where it stays.
 */
export function stateEvent(
  producer: 'coordinator' | 'gateway',
  kind: RunEventKind,
  status: RunStatus | null,
  about: Partial<Pick<RunEventInput, 'attemptId' | 'workerId' | 'message' | 'failure'>> = {},
): RunEventInput {
  return RunEventInputSchema.parse({
    eventId: `${producer}/${uuidV7()}`,
    kind,
    status,
    occurredAt: new Date().toISOString(),
    ...about,
  });
}
