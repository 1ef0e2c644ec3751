import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, inject, test, vi } from 'vitest';
import { Coordinator, readConfig } from '@roentgen/coordinator';
import { ChunkStore, Database } from '@roentgen/database';
import { idFromUuid, uuidOf } from '@roentgen/domain';
import { Gateway } from '@roentgen/gateway';
import { silentLogger } from '@roentgen/logger';
import { ChunkClaim, ChunkResult } from '@roentgen/protocol';
import { rawGraphql } from '../testkit/graphql-client.js';
import { seedPendingFiles, seedProject, seedRun } from '../testkit/rows.js';
import { ScriptedWorker } from '../testkit/scripted-worker.js';
import { TcpProxy, targetOf, through } from '../testkit/tcp-proxy.js';
import { testConfig } from './gateway-harness.js';

const stack = inject('stack');
const name = `o${randomUUID().slice(0, 8)}`;
const WORKER_LOST_MS = 600;

let database: Database;
let postgres: TcpProxy;
let broker: TcpProxy;
const closing: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  database = await Database.connect({ url: stack.postgres.url, schema: name, poolSize: 4, startupTimeoutMs: 5_000 }, silentLogger);
  await database.migrate();
  [postgres, broker] = [await TcpProxy.open(targetOf(stack.postgres.url)), await TcpProxy.open(targetOf(stack.nats.url))];
});
afterEach(async () => {
  for (const part of closing.splice(0).reverse()) await part.close();
});
afterAll(async () => {
  await Promise.all([postgres.close(), broker.close()]);
  await database.close();
});

/** A coordinator that reaches Postgres and NATS through the proxies; the worker and the test reach them directly. */
async function startCoordinator(): Promise<void> {
  const coordinator = await Coordinator.create(
    readConfig({
      POSTGRES_URL: through(postgres, stack.postgres.url),
      POSTGRES_SCHEMA: name,
      NATS_URL: through(broker, stack.nats.url),
      NATS_USER: 'coordinator',
      NATS_PASSWORD: stack.nats.users['coordinator']?.password ?? '',
      NATS_SUBJECT_PREFIX: name,
      S3_ENDPOINT: stack.store.endpoint,
      S3_ACCESS_KEY: stack.store.accessKey,
      S3_SECRET_KEY: stack.store.secretKey,
      S3_BUCKET: `test-${name}`,
      LOG_LEVEL: 'silent',
      COORDINATOR_TICK_MS: '50',
      COORDINATOR_LEASE_MS: '500',
      COORDINATOR_WORKER_LOST_MS: String(WORKER_LOST_MS),
    }),
  );
  closing.push(coordinator);
  await coordinator.start();
}

async function startWorker(): Promise<ScriptedWorker> {
  const worker = await ScriptedWorker.start('w', {
    servers: [stack.nats.url],
    user: 'worker',
    password: stack.nats.users['worker']?.password ?? '',
    subjectPrefix: name,
  });
  closing.push(worker);
  return worker;
}

const eventually = { timeout: 20_000, interval: 25 };
/** Long enough for a coordinator that only counts silence to give the worker up. */
const longerThanSilence = () => database.query('wait', `select pg_sleep($1)`, [(WORKER_LOST_MS * 3) / 1_000]);

test.each([
  ['the broker is away from', () => broker.cut(), () => broker.restore()],
  ['the database is away from', () => postgres.cut(), () => postgres.restore()],
  ['the broker hangs for', () => broker.freeze(), () => broker.thaw()],
  ['the database hangs for', () => postgres.freeze(), () => postgres.thaw()],
])('while %s the coordinator nobody is lost: the attempt and the chunk go on', async (_what, takeAway, giveBack) => {
  await startCoordinator();
  const worker = await startWorker();
  const seeded = await seedProject(database);
  const runId = await seedRun(database, seeded);
  const offer = await worker.nextOffer();
  await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));

  await seedPendingFiles(database, seeded, 1);
  await database.transaction('seed', (tx) =>
    new ChunkStore(database).createInspectionChunks(tx, { projectId: seeded.projectId, uploadId: seeded.uploadId, chunkSize: 1 }),
  );
  const [row] = await database.query('read', 'select id from chunks where upload_id = $1', [uuidOf(seeded.uploadId)]);
  const chunkId = idFromUuid('chk', (row as { id: string }).id);
  const work = await worker.bus.request(ChunkClaim, [worker.workerId], { chunkId, workerId: worker.workerId }, { timeoutMs: 5_000 });
  if (!work.granted) throw new Error(work.reason);

  takeAway();
  await longerThanSilence();
  giveBack();

  // The coordinator is back when it has taken the run again, or has kept it, and records.
  const step = worker.fact(offer, 'STEP_COMMITTED', { step: 1, epoch: 1 });
  await vi.waitFor(() => worker.report(offer, step), eventually);
  await longerThanSilence();
  const outcome = { kind: 'inspected' as const, files: [{ ordinal: 0, image: null, error: { code: 'EMPTY', message: 'no bytes' } }] };
  await worker.bus.request(ChunkResult, [worker.workerId], { chunkId, token: work.token, outcome }, { timeoutMs: 5_000 });
  await worker.report(offer, worker.fact(offer, 'RUN_CANCELLED', { step: 1 }));
  const attempts = await database.query('read', 'select number, status from attempts where run_id = $1', [uuidOf(runId)]);
  expect(attempts).toEqual([{ number: 1, status: 'CANCELLED' }]);
});

test('a chunk that was made while the broker was away is on the queue soon after it is back', async () => {
  await startCoordinator();
  const worker = await startWorker();
  const seeded = await seedProject(database);
  broker.cut();
  await seedPendingFiles(database, seeded, 1);
  await database.transaction('seed', (tx) =>
    new ChunkStore(database).createInspectionChunks(tx, { projectId: seeded.projectId, uploadId: seeded.uploadId, chunkSize: 1 }),
  );
  await longerThanSilence(); // the coordinator has tried to announce it
  broker.restore();
  const [row] = await database.query('read', 'select id from chunks where upload_id = $1', [uuidOf(seeded.uploadId)]);
  const made = idFromUuid('chk', (row as { id: string }).id);
  // Other chunks of this file may still be on the queue: only this one counts.
  await new Promise<void>((resolve, reject) => {
    const handler = ({ chunkId }: { chunkId: string }) => Promise.resolve('ack' as const).finally(() => chunkId === made && resolve());
    worker.bus.consumeWork('inspect', handler, { concurrency: 1 }).catch(reject);
  });
}, 30_000);

test('while the database is away the API says so, and answers again when it is back', async () => {
  const config = testConfig();
  const gateway = await Gateway.create({
    ...config,
    postgres: { ...config.postgres, url: through(postgres, config.postgres.url), schema: name },
  });
  closing.push(gateway);
  await gateway.start();
  const token = `rgt_${'a'.repeat(43)}`;
  const ask = () => rawGraphql(gateway.url, '{ viewer { role } }', { token });
  expect((await ask()).status).toBe(401);

  postgres.cut();
  const away = await ask();
  expect([away.status, away.body.errors]).toEqual([
    503,
    [
      expect.objectContaining({
        message: 'A part of the system does not answer right now. Try again.',
        extensions: expect.objectContaining({ code: 'UNAVAILABLE' }),
      }),
    ],
  ]);
  expect((await fetch(gateway.url.replace('/graphql', '/readyz'))).status).toBe(503);
  postgres.restore();
  await vi.waitFor(async () => expect((await ask()).status).toBe(401), eventually);
});
