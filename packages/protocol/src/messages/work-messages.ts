import { z } from 'zod';
import {
  CheckpointRefSchema,
  EFFICIENTNET_VARIANT_NAMES,
  ImportedWeightsSchema,
  InspectedImageSchema,
  Sha256Schema,
  WEIGHT_LIBRARIES,
  idSchema,
} from '@roentgen/domain';
import { defineMessage, defineRequest } from '../define-message.js';
import { FenceToken } from './worker-messages.js';

export const CHUNK_KINDS = ['inspect', 'predict', 'import-weights'] as const;
export type ChunkKind = (typeof CHUNK_KINDS)[number];

/** On the work queue (JetStream, work-queue retention): a chunk may be claimed. Only a wake-up: the row in Postgres decides. */
export const ChunkAvailable = defineMessage({
  name: 'chunk-available',
  version: 1,
  parts: { fixed: ['work'], tokens: ['kind'] },
  schema: z.object({ chunkId: idSchema('chk'), kind: z.enum(CHUNK_KINDS) }),
});

const InspectWork = z.object({
  kind: z.literal('inspect'),
  projectId: idSchema('prj'),
  uploadId: idSchema('upl'),
  files: z.array(
    z.object({
      ordinal: z.number().int().nonnegative(),
      fileName: z.string(),
      stagingKey: z.string(),
      declaredBytes: z.number().int().nonnegative(),
      /** What the client says it sent; null where it did not say. */
      declaredSha256: Sha256Schema.nullable().default(null),
    }),
  ),
});

const PredictWork = z.object({
  kind: z.literal('predict'),
  projectId: idSchema('prj'),
  jobId: idSchema('pred'),
  checkpoint: CheckpointRefSchema,
  images: z.array(z.object({ ordinal: z.number().int().nonnegative(), fileName: z.string(), sha256: Sha256Schema })),
});

const ImportWeightsWork = z.object({
  kind: z.literal('import-weights'),
  projectId: idSchema('prj'),
  weightSetId: idSchema('wts'),
  /** Where the file is; a catalogue entry says itself where. */
  from: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('upload'), stagingKey: z.string(), declaredBytes: z.number().int().nonnegative() }),
    z.object({ kind: z.literal('url'), url: z.url() }),
    z.object({ kind: z.literal('catalogue') }),
  ]),
  /** The catalogue entry that the file is said to be. */
  catalogueName: z.string().nullable(),
  /** What the user says of the file; null: told from the file. */
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES).nullable(),
  library: z.enum(WEIGHT_LIBRARIES).nullable(),
  /** Of the file, as announced. */
  sha256: Sha256Schema.nullable(),
});

export const ChunkWorkSchema = z.discriminatedUnion('kind', [InspectWork, PredictWork, ImportWeightsWork]);
export type ChunkWork = z.infer<typeof ChunkWorkSchema>;
export type InspectChunkWork = z.infer<typeof InspectWork>;
export type PredictChunkWork = z.infer<typeof PredictWork>;
export type ImportWeightsChunkWork = z.infer<typeof ImportWeightsWork>;

/** Worker → a coordinator: may I have this chunk? Not granted when it is done, or claimed by another whose lease still runs. */
export const ChunkClaim = defineRequest({
  name: 'chunk-claim',
  version: 1,
  parts: { fixed: ['chunk', 'claim'], tokens: ['worker'] },
  schema: z.object({ chunkId: idSchema('chk'), workerId: idSchema('wkr') }),
  reply: z.discriminatedUnion('granted', [
    z.object({ granted: z.literal(true), token: FenceToken, leaseMs: z.number().int().positive(), work: ChunkWorkSchema }),
    z.object({ granted: z.literal(false), reason: z.string() }),
  ]),
});

export const InspectedFileSchema = z
  .object({
    ordinal: z.number().int().nonnegative(),
    /** Null where the file was rejected. */
    image: InspectedImageSchema.nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  })
  .refine(
    (file) => (file.image === null) !== (file.error === null),
    'a file is either an image or rejected with an error, not both, not neither',
  );
export type InspectedFile = z.infer<typeof InspectedFileSchema>;

/** How far a sum of probabilities may be from 1: fp32 softmax is within 1e-6, bf16 within 1e-2. */
const PROBABILITY_SUM_TOLERANCE = 0.01;

export const PredictedImageSchema = z.object({
  ordinal: z.number().int().nonnegative(),
  /** One probability per class, in the order of the model's classes; they sum to 1. */
  probabilities: z
    .array(z.number().min(0).max(1))
    .min(2)
    .refine((p) => Math.abs(p.reduce((sum, value) => sum + value, 0) - 1) <= PROBABILITY_SUM_TOLERANCE, 'probabilities must sum to 1'),
});
export type PredictedImage = z.infer<typeof PredictedImageSchema>;

/** Worker → a coordinator: the outcome of a chunk. Recorded once; STALE_TOKEN when the chunk was given to another in the meantime. */
export const ChunkResult = defineRequest({
  name: 'chunk-result',
  version: 1,
  parts: { fixed: ['chunk', 'result'], tokens: ['worker'] },
  schema: z.object({
    chunkId: idSchema('chk'),
    token: FenceToken,
    outcome: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('inspected'), files: z.array(InspectedFileSchema) }),
      z.object({
        kind: z.literal('predicted'),
        images: z.array(PredictedImageSchema),
        /** What computed them, with its version, such as `onnxruntime 1.30.0`; workers of before do not say. */
        engine: z.string().min(1).max(100).nullable().default(null),
      }),
      z.object({ kind: z.literal('weights-imported'), weights: ImportedWeightsSchema }),
      z.object({ kind: z.literal('failed'), code: z.string(), message: z.string(), retryable: z.boolean() }),
    ]),
  }),
  reply: z.object({ recorded: z.literal(true) }),
});
export type ChunkOutcome = z.infer<typeof ChunkResult.schema>['outcome'];
