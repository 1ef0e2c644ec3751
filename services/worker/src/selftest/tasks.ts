import { DEVICES, EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import { REFERENCE_FIXTURES } from '@roentgen/training';
import { z } from 'zod';
import { CheckSchema } from './check.js';

const SpeedCaseSchema = z.object({
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
  imageSizePx: z.int(),
  batchSize: z.int(),
  /** The case that this smaller one stands for, such as `B7@600`; null where it is that case itself. */
  insteadOf: z.string().nullable(),
  /** Steps are timed for this long, three at least. */
  budgetMs: z.int(),
});
export type SpeedCase = z.output<typeof SpeedCaseSchema>;

const MemoryCaseSchema = z.object({ variant: z.enum(EFFICIENTNET_VARIANT_NAMES), imageSizePx: z.int(), batchSize: z.int() });
export type MemoryCase = z.output<typeof MemoryCaseSchema>;

const device = z.enum(DEVICES);
const libtensorflowPath = z.string().nullable();

/** What one child process does; TensorFlow's settings and its peak memory belong to a process, so each task has its own. */
export const TaskSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('device'), libtensorflowPath, preference: z.enum(['auto', 'cpu', 'cuda']) }),
  z.object({ kind: z.literal('parity'), libtensorflowPath, device, fixture: z.enum(REFERENCE_FIXTURES) }),
  z.object({ kind: z.literal('precision'), libtensorflowPath, fixture: z.enum(REFERENCE_FIXTURES), precision: z.enum(['bf16', 'fp16']) }),
  z.object({ kind: z.literal('training'), libtensorflowPath }),
  z.object({ kind: z.literal('memory'), libtensorflowPath, device, case: MemoryCaseSchema }),
  z.object({ kind: z.literal('speed'), libtensorflowPath, device, case: SpeedCaseSchema }),
]);
export type Task = z.output<typeof TaskSchema>;

export const DeviceFactsSchema = z.object({
  device,
  /** As people know it. */
  name: z.string(),
});
export type DeviceFacts = z.output<typeof DeviceFactsSchema>;

const LibtensorflowFactsSchema = z.object({ version: z.string(), bindingPath: z.string() });
export type LibtensorflowFacts = z.output<typeof LibtensorflowFactsSchema>;

/** Child → self-test. */
export const TaskMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('libtensorflow'), facts: LibtensorflowFactsSchema }),
  z.object({ type: z.literal('device'), facts: DeviceFactsSchema }),
  z.object({ type: z.literal('check'), check: CheckSchema }),
  z.object({ type: z.literal('failed'), code: z.string(), message: z.string() }),
]);
export type TaskMessage = z.output<typeof TaskMessageSchema>;

export const TRAINING_CHECKS = ['feed safety', 'determinism', 'learning'] as const;

export const speedName = ({ variant, insteadOf, imageSizePx }: SpeedCase): string => `speed ${insteadOf ?? `${variant}@${imageSizePx}`}`;

export const memoryName = ({ variant, imageSizePx, batchSize }: MemoryCase): string =>
  `memory ${variant}@${imageSizePx} batch ${batchSize}`;

/** The checks that a task must come back with: one that is missing has failed. */
export function checksOf(task: Task): readonly string[] {
  switch (task.kind) {
    case 'device':
      return ['device'];
    case 'parity':
      // Predictions are made with the running statistics, so only there logits can be compared.
      return [...(task.fixture.endsWith('-frozen') ? ['loss', 'logits'] : ['loss']), 'gradients'].map(
        (what) => `parity ${what} ${task.fixture}`,
      );
    case 'precision':
      return ['loss', 'gradients'].map((what) => `${task.precision} ${what} ${task.fixture}`);
    case 'training':
      return TRAINING_CHECKS;
    case 'memory':
      return [memoryName(task.case)];
    case 'speed':
      return [speedName(task.case)];
  }
}

interface Size {
  readonly imageSizePx: number;
  readonly batchSize: number;
}

/** Batch statistics need two images, so 2 is the smallest batch. */
const SPEED_SIZES: readonly { variant: SpeedCase['variant']; named: number; cuda: Size; cpu: Size; quick: Size }[] = [
  {
    variant: 'B0',
    named: 224,
    cuda: { imageSizePx: 224, batchSize: 32 },
    cpu: { imageSizePx: 224, batchSize: 8 },
    quick: { imageSizePx: 128, batchSize: 4 },
  },
  {
    variant: 'B3',
    named: 300,
    cuda: { imageSizePx: 300, batchSize: 16 },
    cpu: { imageSizePx: 300, batchSize: 4 },
    quick: { imageSizePx: 128, batchSize: 2 },
  },
  {
    variant: 'B7',
    named: 600,
    cuda: { imageSizePx: 600, batchSize: 2 },
    cpu: { imageSizePx: 300, batchSize: 2 },
    quick: { imageSizePx: 96, batchSize: 2 },
  },
];

/** A CPU gets smaller sizes: B7 at 600 px would take it minutes per step. */
export function speedCases(deviceKind: DeviceFacts['device'], quick: boolean): SpeedCase[] {
  return SPEED_SIZES.map(({ variant, named, ...sizes }) => {
    const size = quick ? sizes.quick : sizes[deviceKind];
    return {
      variant,
      ...size,
      insteadOf: size.imageSizePx === named ? null : `${variant}@${named}`,
      budgetMs: quick ? 1_000 : 8_000,
    };
  });
}

/** Two batches of one network: the memory that the larger one takes above the smaller one is that of the images. */
export const MEMORY_CASES: readonly [MemoryCase, MemoryCase] = [
  { variant: 'B0', imageSizePx: 128, batchSize: 2 },
  { variant: 'B0', imageSizePx: 128, batchSize: 16 },
];

/** Everything that is tried once the device is known. */
export function tasksFor(deviceKind: DeviceFacts['device'], options: { quick: boolean; libtensorflowPath: string | null }): Task[] {
  const { quick, libtensorflowPath: path } = options;
  const common = { libtensorflowPath: path };
  return [
    ...REFERENCE_FIXTURES.map((fixture): Task => ({ kind: 'parity', ...common, device: deviceKind, fixture })),
    { kind: 'precision', ...common, fixture: 'keras-b0-frozen', precision: 'bf16' },
    { kind: 'training', ...common },
    ...MEMORY_CASES.map((memoryCase): Task => ({ kind: 'memory', ...common, device: deviceKind, case: memoryCase })),
    ...speedCases(deviceKind, quick).map((speedCase): Task => ({ kind: 'speed', ...common, device: deviceKind, case: speedCase })),
  ];
}
