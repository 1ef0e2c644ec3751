import { expect, test } from 'vitest';
import { ConfigError } from '@roentgen/config';
import { newId } from '@roentgen/domain';
import { computeEnvironment, readWorkerConfig } from './config.js';

const REQUIRED = { NATS_URL: '127.0.0.1:4222', S3_ENDPOINT: 'http://127.0.0.1:9000', S3_ACCESS_KEY: 'key', S3_SECRET_KEY: 'secret' };

test('what is not set gets its default, and a worker without an id a new one that its name ends in', () => {
  const config = readWorkerConfig(REQUIRED);
  expect(config).toMatchObject({ device: 'auto', heartbeatMs: 1000, libtensorflowPath: null });
  expect(config.workerId).toMatch(/^wkr_[0-9a-f]{32}$/);
  expect(config.name.endsWith(config.workerId.slice(-6))).toBe(true);
});

test('all problems are told at once', () => {
  const read = () => readWorkerConfig({ ...REQUIRED, NATS_URL: '', WORKER_DEVICE: 'tpu', WORKER_ID: '7' });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(/3 problems/);
  for (const problem of [/NATS_URL is not set/, /WORKER_DEVICE="tpu"/, /WORKER_ID="7": must be wkr_/]) expect(read).toThrow(problem);
});

test('a compute process that is started again is the same worker', () => {
  const config = readWorkerConfig(REQUIRED);
  expect(readWorkerConfig({ ...computeEnvironment(config, REQUIRED) }).workerId).toBe(config.workerId);
});

test('TensorFlow is told about threads and devices before it is loaded', () => {
  const id = newId('wkr');
  const told = computeEnvironment(readWorkerConfig({ ...REQUIRED, WORKER_ID: id, WORKER_DEVICE: 'cpu', WORKER_INTRA_OP_THREADS: '3' }), {});
  expect(told).toMatchObject({ WORKER_ID: id, CUDA_VISIBLE_DEVICES: '-1', TF_NUM_INTRAOP_THREADS: '3', TF_CPP_MIN_LOG_LEVEL: '3' });
  expect(told).not.toHaveProperty('TF_NUM_INTEROP_THREADS');
  expect(told).not.toHaveProperty('TF_XLA_FLAGS');
  expect(told).not.toHaveProperty('TF_DETERMINISTIC_OPS');
});

test('a worker sees one GPU, whatever the machine shows', () => {
  const visible = (environment: object, shown?: string) =>
    computeEnvironment(readWorkerConfig({ ...REQUIRED, ...environment }), shown === undefined ? {} : { CUDA_VISIBLE_DEVICES: shown });
  expect(visible({}, '2,3')).toMatchObject({
    CUDA_VISIBLE_DEVICES: '2',
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  });
  expect(visible({})).toMatchObject({ CUDA_VISIBLE_DEVICES: '0' });
  expect(visible({ WORKER_GPU: 'GPU-8932f937' }, '2,3')).toMatchObject({ CUDA_VISIBLE_DEVICES: 'GPU-8932f937' });
  expect(() => readWorkerConfig({ ...REQUIRED, WORKER_GPU: '0,1' })).toThrow(/WORKER_GPU="0,1": must be one index or one UUID/);
});

test('XLA and repeatable kernels are options, beside the flags that are there', () => {
  const settings = { ...REQUIRED, WORKER_XLA: 'true', WORKER_DETERMINISTIC_OPS: 'true' };
  expect(computeEnvironment(readWorkerConfig(settings), { TF_XLA_FLAGS: '--own' }, '/cuda')).toMatchObject({
    TF_XLA_FLAGS: '--own --tf_xla_auto_jit=2',
    XLA_FLAGS: '--xla_gpu_cuda_data_dir=/cuda',
    TF_DETERMINISTIC_OPS: '1',
  });
  const onCpu = computeEnvironment(readWorkerConfig({ ...settings, WORKER_DEVICE: 'cpu' }), {});
  expect(onCpu.TF_XLA_FLAGS).toBe('--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit');
});

test('a process that reads files of strangers inherits where libraries are, and no secret', () => {
  expect(readWorkerConfig({ ...REQUIRED, LD_LIBRARY_PATH: '/bundle/lib', AWS_SECRET: 'x' }).weights).toMatchObject({
    privateAddresses: false,
    memoryBytes: 3 * 2 ** 30,
    environment: { LD_LIBRARY_PATH: '/bundle/lib' },
  });
  expect(readWorkerConfig(REQUIRED).weights.environment).toEqual({});
});
