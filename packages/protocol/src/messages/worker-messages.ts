import { z } from 'zod';
import {
  CheckpointRefSchema,
  DEVICES,
  DatasetRefSchema,
  HeldWaitSchema,
  RunEventInputSchema,
  SelftestSummarySchema,
  WeightSetRefSchema,
  WorkerRuntimeSchema,
  idSchema,
} from '@roentgen/domain';
import { defineMessage, defineRequest } from '../define-message.js';

/** A secret that goes with an attempt or a chunk; see PROTOCOL.md, "Fencing". */
export const FenceToken = z.uuid();

/** The attempt a worker holds. */
export const HeldAttemptSchema = z.object({
  runId: idSchema('run'),
  attemptId: idSchema('att'),
  generation: z.number().int().positive(),
  token: FenceToken,
});
export type HeldAttempt = z.infer<typeof HeldAttemptSchema>;

export const WORKER_STATES = ['STARTING', 'IDLE', 'TRAINING', 'PREDICTING', 'STOPPING'] as const;

/** Worker → every coordinator, each second, from the networking thread. Silence for `workerLostAfterMs` loses the worker's attempt. */
export const WorkerHeartbeat = defineMessage({
  name: 'worker-heartbeat',
  version: 1,
  parts: { fixed: ['worker', 'heartbeat'], tokens: ['worker'] },
  schema: z.object({
    workerId: idSchema('wkr'),
    name: z.string().min(1).max(100),
    version: z.string(),
    device: z.enum(DEVICES),
    deviceName: z.string(),
    state: z.enum(WORKER_STATES),
    holding: HeldAttemptSchema.nullable(),
    /** Why it does not go on with what it holds; null also for a reason that the receiver does not know yet. */
    waiting: HeldWaitSchema.nullable().default(null).catch(null),
    /** Chunks that it works on: their leases go on for as long as they are named here. */
    chunks: z.array(z.object({ chunkId: idSchema('chk'), token: FenceToken })).default([]),
    /** Counts what the compute thread finished; standing still while it should move tells a wedged worker from a busy one. */
    progressCounter: z.number().int().nonnegative(),
    startedAt: z.iso.datetime(),
    residentBytes: z.number().int().nonnegative(),
    /** null of a worker that does not tell: it takes any work, and nobody knows what fits into it. */
    runtime: WorkerRuntimeSchema.nullable().default(null),
  }),
});

/** Worker → a coordinator, once per start: the self-test of its machine, for readers. Sent again until it is answered. */
export const WorkerRegistration = defineRequest({
  name: 'worker-registration',
  version: 1,
  parts: { fixed: ['worker', 'register'], tokens: ['worker'] },
  schema: z.object({ workerId: idSchema('wkr'), selftest: SelftestSummarySchema }),
  reply: z.object({ registered: z.literal(true) }),
});

/** Coordinator → worker: take this attempt. The attempt row exists before the offer; a refusal or no answer takes it back. */
export const AttemptOffer = defineRequest({
  name: 'attempt-offer',
  version: 1,
  parts: { fixed: ['control', 'offer'], tokens: ['worker'] },
  schema: HeldAttemptSchema.extend({
    projectId: idSchema('prj'),
    attemptNumber: z.number().int().positive(),
    /** Parsed again by the worker with the training package's schema. */
    recipe: z.record(z.string(), z.unknown()),
    dataset: DatasetRefSchema,
    /** What an attempt that resumes from nothing starts from; null: random weights. */
    initialWeights: WeightSetRefSchema.nullable().default(null),
    resumeFrom: CheckpointRefSchema.nullable(),
  }),
  reply: z.object({ accepted: z.boolean(), reason: z.string().nullable() }),
});

/** Coordinator → worker: leave this attempt at the next step boundary. Answered at once; the worker's last event tells when it has left. */
export const AttemptStop = defineRequest({
  name: 'attempt-stop',
  version: 1,
  parts: { fixed: ['control', 'stop'], tokens: ['worker'] },
  schema: z.object({ attemptId: idSchema('att'), token: FenceToken, reason: z.enum(['CANCEL', 'PAUSE', 'DRAIN', 'SUPERSEDED']) }),
  reply: z.object({ known: z.boolean() }),
});

/**
 * Worker → a coordinator: facts about an attempt, in producer order. The worker keeps them until the answer and sends them again with the
 * same event ids. Answered with the number of events now recorded; STALE_TOKEN means that the attempt belongs to another by now.
 */
export const RecordEvents = defineRequest({
  name: 'record-events',
  version: 1,
  parts: { fixed: ['events', 'record'], tokens: ['worker'] },
  schema: HeldAttemptSchema.extend({ workerId: idSchema('wkr'), events: z.array(RunEventInputSchema).min(1).max(1000) }),
  reply: z.object({ recorded: z.number().int().nonnegative() }),
});
