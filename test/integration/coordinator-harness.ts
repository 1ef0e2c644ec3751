import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, inject, vi } from 'vitest';
import { Coordinator, readConfig, type CoordinatorConfig } from '@roentgen/coordinator';
import { ChunkStore, Database, EventStore } from '@roentgen/database';
import { idFromUuid, newId, uuidOf, type ChunkId, type RunEvent, type RunId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { ChunkClaim } from '@roentgen/protocol';
import { seedPendingFiles, seedProject, type SeededProject } from '../testkit/rows.js';
import { ScriptedWorker } from '../testkit/scripted-worker.js';

/** Waits for what coordinators do by themselves. */
export const eventually = { timeout: 15_000, interval: 25 };

export const checkpointAt = (step: number, epoch: number) => ({
  checkpointId: newId('ckp'),
  epoch,
  step,
  objectKey: `checkpoints/${step}.safetensors`,
  sha256: 'c'.repeat(64),
  bytes: 123,
});

/** A coordinator for each test on a database and broker of this file's own, and what tests look at. */
export class CoordinatorHarness {
  readonly config: CoordinatorConfig;
  database!: Database;
  events!: EventStore;
  seeded!: SeededProject;
  coordinator!: Coordinator;
  private readonly name = `t${randomUUID().slice(0, 8)}`;
  private readonly stack = inject('stack');
  readonly workers: ScriptedWorker[] = [];

  constructor(settings: Readonly<Record<string, string>> = {}) {
    const { postgres, nats, store } = this.stack;
    this.config = readConfig({
      POSTGRES_URL: postgres.url,
      POSTGRES_SCHEMA: this.name,
      NATS_URL: nats.url,
      NATS_USER: 'coordinator',
      NATS_PASSWORD: nats.users['coordinator']?.password ?? '',
      NATS_SUBJECT_PREFIX: this.name,
      S3_ENDPOINT: store.endpoint,
      S3_ACCESS_KEY: store.accessKey,
      S3_SECRET_KEY: store.secretKey,
      S3_BUCKET: `test-${this.name}`,
      LOG_LEVEL: 'silent',
      COORDINATOR_TICK_MS: '50',
      COORDINATOR_LEASE_MS: '1000',
      COORDINATOR_WORKER_LOST_MS: '600',
      COORDINATOR_CHUNK_LEASE_MS: '1000',
      ...settings,
    });
  }

  async open(): Promise<void> {
    this.database = await Database.connect({ ...this.config.postgres, startupTimeoutMs: 5_000 }, silentLogger);
    await this.database.migrate();
    this.events = new EventStore(this.database);
  }

  async begin(): Promise<void> {
    this.seeded = await seedProject(this.database);
    this.coordinator = await this.startCoordinator();
  }

  async end(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.close()));
    await this.coordinator.close();
    // What a test leaves open would be offered to the workers of the next one, and its failures held against them.
    await this.database.query('seed', `update attempts set status = 'LOST', ended_at = now() where ended_at is null`);
    await this.database.query('seed', `update attempts set ended_at = now() - interval '2 days'`);
    await this.database.query('seed', `update training_runs set status = 'CANCELLED', finished_at = now() where finished_at is null`);
  }

  async startCoordinator(): Promise<Coordinator> {
    const coordinator = await Coordinator.create(this.config);
    await coordinator.start();
    return coordinator;
  }

  async startWorker(label: string): Promise<ScriptedWorker> {
    const worker = await ScriptedWorker.start(label, {
      servers: [this.stack.nats.url],
      user: 'worker',
      password: this.stack.nats.users['worker']?.password ?? '',
      subjectPrefix: this.name,
    });
    this.workers.push(worker);
    return worker;
  }

  log(runId: RunId): Promise<RunEvent[]> {
    return this.events.readAfter(runId, 0, 1_000);
  }

  async kinds(runId: RunId): Promise<string[]> {
    return (await this.log(runId)).map((event) => event.kind);
  }

  async column(runId: RunId, what: string): Promise<unknown> {
    const [row] = await this.database.query('read', `select ${what} as value from training_runs where id = $1`, [uuidOf(runId)]);
    return (row as { value: unknown }).value;
  }

  status(runId: RunId): Promise<unknown> {
    return this.column(runId, 'status');
  }

  /** A chunk with that many files to inspect. */
  async seedInspectionChunk(files: number): Promise<ChunkId> {
    const { database, seeded } = this;
    await seedPendingFiles(database, seeded, files);
    const chunks = new ChunkStore(database);
    await database.transaction('seed', (tx) =>
      chunks.createInspectionChunks(tx, { projectId: seeded.projectId, uploadId: seeded.uploadId, chunkSize: 32 }),
    );
    const [row] = await database.query('read', 'select id from chunks where upload_id = $1', [uuidOf(seeded.uploadId)]);
    return idFromUuid('chk', (row as { id: string }).id);
  }
}

export const claim = (worker: ScriptedWorker, chunkId: ChunkId) =>
  worker.bus.request(ChunkClaim, [worker.workerId], { chunkId, workerId: worker.workerId }, { timeoutMs: 5_000 });

/** Waits until the chunk can be had. */
export const claimed = (worker: ScriptedWorker, chunkId: ChunkId) =>
  vi.waitFor(async () => {
    const reply = await claim(worker, chunkId);
    if (!reply.granted) throw new Error(reply.reason);
    return reply;
  }, eventually);

export function useCoordinator(settings: Readonly<Record<string, string>> = {}): CoordinatorHarness {
  const harness = new CoordinatorHarness(settings);
  beforeAll(() => harness.open());
  beforeEach(() => harness.begin());
  afterEach(() => harness.end());
  afterAll(() => harness.database.close());
  return harness;
}
