import type { MessagePort, Worker } from 'node:worker_threads';
import { createBirpc, type BirpcReturn } from 'birpc';
import type { z } from 'zod';
import {
  RoentgenError,
  coerceError,
  type CheckpointId,
  type Device,
  type RunEventInput,
  type SelftestSummary,
  type TrainingRecipe,
  type WorkerId,
  type WorkerRuntime,
} from '@roentgen/domain';
import type { AttemptOffer } from '@roentgen/protocol';
import type { StepDurations } from '@roentgen/training';
import { ThreadError } from './errors.js';
import type { WorkerConfig } from './config.js';

/**
 * The contract between the two threads of a worker.
 *
 * The **compute thread** is the process's main thread, because TensorFlow has to live there; its calls are synchronous, so it answers
 * messages only between two of them. The **networking thread** has everything else: NATS, the object store, image decoding, heartbeats.
 *
 * Images travel in *slots*, pieces of shared memory: the message carries views, not bytes. A slot belongs to the networking thread while
 * it is filled, to the compute thread from the answer on, and to the networking thread again after `releaseSlot`. TensorFlow may use a slot's
 * memory in place during a call (DESIGN §3, aliasing), so it is released only when the call that it was fed to has returned.
 */

/** What the networking thread is given when it is started. */
export interface NetworkThreadData {
  readonly config: WorkerConfig;
  readonly control: SharedArrayBuffer;
}

export interface DetectedDevice {
  readonly device: Device;
  /** As people know it: the model of the processor or of the graphics card. */
  readonly deviceName: string;
}

export interface DeviceInfo extends DetectedDevice {
  readonly runtime: WorkerRuntime;
  /** Null where none was made. */
  readonly selftest: SelftestSummary | null;
}

/** An accepted offer whose recipe was parsed. */
export type AttemptWork = Omit<z.infer<typeof AttemptOffer.schema>, 'recipe'> & { readonly recipe: TrainingRecipe };

/** What the compute thread says about an attempt; ids and numbers are added where it is sent. */
export type AttemptEvent = Omit<RunEventInput, 'eventId' | 'attemptId' | 'workerId'>;

/** What a step cost; for metrics only. */
export interface StepObservation {
  readonly images: number;
  readonly durations: StepDurations;
}

/** Sizes of the splits that an attempt reads. The test split is none of them. */
export interface InputSummary {
  readonly trainSamples: number;
  readonly validationSamples: number;
}

export type SlotRingName = 'training' | 'evaluation';

/** One micro-batch in shared memory: `[n, size, size, 3]` RGB bytes, `[n]` class indices, `[n]` weights (0 is padding). */
export interface SharedMicroBatch {
  readonly images: Uint8Array;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
  readonly sampleIds: readonly string[];
}

/** A step's micro-batches, or one batch of an evaluation. */
export interface SlotBatch {
  readonly slot: number;
  readonly microBatches: readonly SharedMicroBatch[];
}

/** Handed over between the threads, not copied: the sender has `tensors` no more. They are up to a gigabyte, and copying stops both threads. */
export interface WeightBytes {
  readonly tensors: Uint8Array;
}

export interface CheckpointBytes extends WeightBytes {
  /** Not parsed yet. */
  readonly description: unknown;
}

export interface NewCheckpoint extends CheckpointBytes {
  readonly checkpointId: CheckpointId;
}

/** Functions as the other thread calls them. */
export type Remote<F> = {
  readonly [K in keyof F]: F[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

/** Offered by the networking thread. Calls about the attempt mean the one that is held; after it was abandoned they throw AttemptEndedError. */
export interface NetworkFunctions {
  /** Connects if it has not yet, sends heartbeats from now on and takes work. */
  start(device: DeviceInfo): Promise<{ workerId: WorkerId; healthUrl: string | null }>;
  /** Takes no more work, leaves the attempt at a step boundary, says what there is to say, disconnects. */
  stop(): Promise<void>;
  /** What the attempt goes on from; null where it starts anew. Checked against its SHA-256. */
  readResumeCheckpoint(): Promise<CheckpointBytes | null>;
  /** The weights that the attempt starts from; null where it has none. Checked against their SHA-256. */
  readInitialWeights(): Promise<WeightBytes | null>;
  /** Reads the manifest and starts to load images from this step on. */
  openInput(startStep: number): Promise<InputSummary>;
  trainingBatch(step: number): Promise<SlotBatch>;
  /** Batches of the validation split in manifest order; asking for 0 starts a new pass. */
  evaluationBatch(index: number): Promise<SlotBatch>;
  releaseSlot(ring: SlotRingName, slot: number): void;
  /** Uploads both files; the object key of the tensors. */
  saveCheckpoint(checkpoint: NewCheckpoint): Promise<{ objectKey: string }>;
  /** Resolves when the event has room in the outbox, not when it is recorded: a full outbox holds the training up. */
  report(event: AttemptEvent, step?: StepObservation): Promise<void>;
}

export interface LoadedModel {
  readonly checkpointId: CheckpointId;
  readonly imageSizePx: number;
  /** Images per call of `predict`. */
  readonly batchSize: number;
  readonly numClasses: number;
  /** What computes, with its version. */
  readonly engine: string;
}

/** Offered by the compute thread. */
export interface ComputeFunctions {
  /** Trains. Resolves when the last event has been handed over; the outcome is in the events. */
  runAttempt(work: AttemptWork): Promise<void>;
  /** The model that is in memory, null when it is another or none. */
  loadedModel(checkpointId: CheckpointId): LoadedModel | null;
  loadModel(checkpointId: CheckpointId, checkpoint: CheckpointBytes): Promise<LoadedModel>;
  /** Probabilities `[count, numClasses]` of the loaded model. Images are `[count, size, size, 3]` RGB bytes. */
  predict(checkpointId: CheckpointId, images: Uint8Array, count: number): Promise<Float32Array>;
}

type Port = MessagePort | Worker;

/** Joins two threads: `functions` are what this side offers, the result is what the other side does. */
export function connectRpc<Theirs extends object, Ours extends object>(port: Port, functions: Ours): BirpcReturn<Theirs, Ours> {
  return createBirpc<Theirs, Ours>(functions, {
    post: (message: unknown) => port.postMessage(message, handedOver(message)),
    on: (listener) => port.on('message', listener),
    off: (listener) => port.off('message', listener),
    serialize: packError,
    deserialize: unpackError,
    // A step or a download takes as long as it takes; a dead thread ends the process.
    timeout: -1,
  });
}

/** The memory of every WeightBytes among a call's arguments or in its answer. */
function handedOver(message: unknown): ArrayBuffer[] {
  if (!isRecord(message)) return [];
  const values: unknown[] = [...(Array.isArray(message['a']) ? (message['a'] as unknown[]) : []), message['r']];
  return values.flatMap((value) => {
    const tensors = isRecord(value) ? value['tensors'] : null;
    // A view of something larger is copied: the rest is not the sender's to give.
    const isWhole = tensors instanceof Uint8Array && tensors.buffer instanceof ArrayBuffer && tensors.length === tensors.buffer.byteLength;
    return isWhole ? [tensors.buffer as ArrayBuffer] : [];
  });
}

interface PackedError {
  readonly packedError: true;
  readonly code: string;
  readonly message: string;
  readonly details: unknown;
}

/** The structured clone of an Error loses its class, code and details: the answer carries them as data. */
function packError(message: unknown): unknown {
  if (!isAnswer(message) || message.e === undefined) return message;
  const error = coerceError(message.e);
  const code = error instanceof RoentgenError ? error.code : 'INTERNAL';
  const details: unknown = error instanceof RoentgenError ? JSON.parse(JSON.stringify(error.details)) : { stack: error.stack };
  return { ...message, e: { packedError: true, code, message: error.message, details } satisfies PackedError };
}

function unpackError(message: unknown): unknown {
  if (!isAnswer(message) || !isPackedError(message.e)) return message;
  const { code, message: text, details } = message.e;
  return { ...message, e: new ThreadError(code, text, isRecord(details) ? details : {}) };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isAnswer = (message: unknown): message is { e?: unknown } => isRecord(message) && message['t'] === 's';
const isPackedError = (value: unknown): value is PackedError => isRecord(value) && value['packedError'] === true;
