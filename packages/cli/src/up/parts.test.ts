import { expect, test } from 'vitest';
import { type Parts, serviceEnvironment, startParts } from './parts.js';

const PARTS: Parts = {
  postgres: { url: 'postgres://u:pg-secret@127.0.0.1:1/db', schema: 'public' },
  nats: {
    url: 'nats://127.0.0.1:2',
    subjectPrefix: 'roentgen',
    users: {
      gateway: { user: 'gateway', password: 'g' },
      coordinator: { user: 'coordinator', password: 'c' },
      worker: { user: 'worker', password: 'w' },
    },
  },
  store: {
    endpoint: 'http://127.0.0.1:3',
    publicEndpoint: 'http://127.0.0.1:3',
    region: 'us-east-1',
    bucket: 'roentgen',
    accessKey: 'root',
    secretKey: 'root-secret',
    worker: { accessKey: 'worker', secretKey: 'worker-secret' },
  },
};

test('each role gets its own identity, and the worker no way into Postgres', () => {
  const base = {
    PATH: '/bin',
    POSTGRES_URL: 'postgres://someone-else',
    NATS_PASSWORD: 'someone else',
    WORKER_DEVICE: 'cpu',
    UNSET: undefined,
  };
  const worker = serviceEnvironment('worker', PARTS, base);
  expect(worker).toMatchObject({
    PATH: '/bin',
    WORKER_DEVICE: 'cpu',
    NATS_USER: 'worker',
    NATS_PASSWORD: 'w',
    S3_ACCESS_KEY: 'worker',
    S3_SECRET_KEY: 'worker-secret',
  });
  expect(JSON.stringify(worker)).not.toMatch(/pg-secret|root-secret|someone/);
  expect(Object.keys(worker).filter((name) => name.startsWith('POSTGRES_'))).toEqual([]);
  const gateway = serviceEnvironment('gateway', PARTS, base);
  expect(gateway).toMatchObject({
    NATS_USER: 'gateway',
    S3_ACCESS_KEY: 'root',
    POSTGRES_URL: PARTS.postgres.url,
    POSTGRES_SCHEMA: 'public',
  });
});

test('parts that the environment names are used, and none is started', async () => {
  const environment = {
    POSTGRES_URL: 'postgres://db',
    NATS_URL: 'broker:4222',
    NATS_USER: 'me',
    S3_ENDPOINT: 'http://store:9000',
    S3_ACCESS_KEY: 'key',
    S3_SECRET_KEY: 'secret',
    S3_BUCKET: 'mine',
  };
  const { parts, stack } = await startParts(environment, '/nowhere', () => undefined);
  expect(stack).toBeNull();
  expect(parts.postgres.url).toBe('postgres://db');
  expect(parts.nats).toMatchObject({ url: 'broker:4222', users: { worker: { user: 'me', password: '' } } });
  expect(parts.store).toMatchObject({
    endpoint: 'http://store:9000',
    publicEndpoint: 'http://store:9000',
    bucket: 'mine',
    worker: { accessKey: 'key', secretKey: 'secret' },
  });
});
