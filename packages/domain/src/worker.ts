import { z } from 'zod';
import { EFFICIENTNET_VARIANT_NAMES } from './recipe.js';

/** How a worker computes, as its heartbeats tell: what fits into it, and settings that the bits of a result depend on. */
export const WorkerRuntimeSchema = z.object({
  /** What a training session may take, bytes: of the GPU's memory, or a share of the machine's. null: unknown. */
  memoryBudgetBytes: z.number().int().positive().nullable(),
  /** Memory per image that its self-test measured, as a multiple of the table's; 1 where it was not measured. */
  memoryScale: z.number().positive(),
  /** 0: TensorFlow's choice. */
  intraOpThreads: z.number().int().nonnegative(),
  interOpThreads: z.number().int().nonnegative(),
  xla: z.boolean(),
  deterministicOps: z.boolean(),
  /** Why it takes no work that computes; null: it does. */
  ineligibleReason: z.string().min(1).nullable(),
});
export type WorkerRuntime = z.infer<typeof WorkerRuntimeSchema>;

export const SELFTEST_LEVELS = ['quick', 'full'] as const;
export type SelftestLevel = (typeof SELFTEST_LEVELS)[number];
export const SELFTEST_VERDICTS = ['PASS', 'FAIL'] as const;
export const CHECK_VERDICTS = ['PASS', 'FAIL', 'SKIPPED'] as const;

/** The self-test of a worker's machine as the worker registers it. */
export const SelftestSummarySchema = z.object({
  verdict: z.enum(SELFTEST_VERDICTS),
  level: z.enum(SELFTEST_LEVELS),
  /** When it was made; an unchanged machine and program keep theirs over many starts. */
  at: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  /** Null where it could not be loaded. */
  tensorflowVersion: z.string().nullable(),
  checks: z.array(z.object({ name: z.string().min(1), verdict: z.enum(CHECK_VERDICTS), measured: z.string(), bound: z.string() })).max(200),
  /** Of a training step; on a CPU and in a quick test of a smaller one. */
  speeds: z
    .array(
      z.object({
        variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
        imageSizePx: z.number().int().positive(),
        batchSize: z.number().int().positive(),
        imagesPerSecond: z.number().positive(),
        /** Most that the process held while it computed. */
        peakBytes: z.number().int().positive(),
      }),
    )
    .max(50),
});
export type SelftestSummary = z.infer<typeof SelftestSummarySchema>;
