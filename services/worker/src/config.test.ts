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
  const free = computeEnvironment(readWorkerConfig(REQUIRED), { CUDA_VISIBLE_DEVICES: '2' });
  expect(free).toMatchObject({ CUDA_VISIBLE_DEVICES: '2' });
});

test('a process that reads files of strangers inherits where libraries are, and no secret', () => {
  expect(readWorkerConfig({ ...REQUIRED, LD_LIBRARY_PATH: '/bundle/lib', AWS_SECRET: 'x' }).weights).toEqual({
    privateAddresses: false,
    memoryBytes: 3 * 2 ** 30,
    environment: { LD_LIBRARY_PATH: '/bundle/lib' },
  });
  expect(readWorkerConfig(REQUIRED).weights.environment).toEqual({});
});
