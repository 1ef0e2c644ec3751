import { expect, test } from 'vitest';
import { readSelftestSettings } from '../config.js';
import { taskEnvironment } from './environment.js';
import type { Task } from './tasks.js';

const training: Task = { kind: 'training', libtensorflowPath: null };
const parity: Task = { kind: 'parity', libtensorflowPath: null, device: 'cuda', fixture: 'keras-b0-batch' };
const environmentOf = (task: Task, inherited: Readonly<Record<string, string>>, cudaDirectory: string | null = null) =>
  taskEnvironment(task, { settings: readSelftestSettings(inherited), inherited, cudaDirectory });

test('a broker and a store need not be named', () => {
  expect(readSelftestSettings({})).toEqual({
    device: 'auto',
    gpu: null,
    intraOpThreads: 0,
    interOpThreads: 0,
    xla: false,
    deterministicOps: false,
    libtensorflowPath: null,
  });
  expect(() => readSelftestSettings({ WORKER_DEVICE: 'tpu' })).toThrow(/WORKER_DEVICE="tpu": must be one of auto, cpu, cuda/);
});

test.each([
  [{}, '0'],
  [{ CUDA_VISIBLE_DEVICES: '2,3' }, '2'],
  [{ CUDA_VISIBLE_DEVICES: 'GPU-8932f937' }, 'GPU-8932f937'],
  [{ CUDA_VISIBLE_DEVICES: '-1' }, '-1'],
  [{ CUDA_VISIBLE_DEVICES: '2', WORKER_DEVICE: 'cpu' }, '-1'],
  [{ CUDA_VISIBLE_DEVICES: '2,3', WORKER_GPU: '3' }, '3'],
])('of %j one GPU is used: %s', (inherited, visible) => {
  expect(environmentOf(training, { ...inherited })).toMatchObject({ CUDA_VISIBLE_DEVICES: visible, TF_FORCE_GPU_ALLOW_GROWTH: 'true' });
});

test('numbers are compared in full float32, and trained on as the worker trains', () => {
  expect(environmentOf(parity, {})).toMatchObject({ NVIDIA_TF32_OVERRIDE: '0' });
  expect(environmentOf(training, {})).not.toHaveProperty('NVIDIA_TF32_OVERRIDE');
});

test('XLA is told where libdevice is, unless somebody did', () => {
  expect(environmentOf(training, {})).not.toHaveProperty('XLA_FLAGS');
  expect(environmentOf(training, { XLA_FLAGS: '--a=1' }, '/cuda').XLA_FLAGS).toBe('--a=1 --xla_gpu_cuda_data_dir=/cuda');
  expect(environmentOf(training, { XLA_FLAGS: '--xla_gpu_cuda_data_dir=/own' }, '/cuda').XLA_FLAGS).toBe('--xla_gpu_cuda_data_dir=/own');
});

test('memory of a GPU is measured with an allocator that takes no more than it needs', () => {
  const memory: Task = { kind: 'memory', libtensorflowPath: null, device: 'cuda', case: { variant: 'B0', imageSizePx: 128, batchSize: 2 } };
  expect(environmentOf(memory, {})).toMatchObject({ TF_GPU_ALLOCATOR: 'cuda_malloc_async' });
  expect(environmentOf({ ...memory, device: 'cpu' }, {})).not.toHaveProperty('TF_GPU_ALLOCATOR');
});
