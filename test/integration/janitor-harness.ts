import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, inject } from 'vitest';
import { Janitor, type JanitorOptions } from '@roentgen/coordinator';
import {
  Database,
  JanitorPassStore,
  JanitorWorkStore,
  ObjectReferenceStore,
  ObjectRemovalStore,
  type JanitorPassRecord,
} from '@roentgen/database';
import {
  newId,
  systemClock,
  uuidOf,
  type CoordinatorId,
  type JanitorFinding,
  type JanitorMode,
  type JanitorPassId,
  type RunId,
} from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { S3ObjectInventory, S3ObjectStore, objectKeys } from '@roentgen/storage';
import { seedProject, seedRun, type SeededProject } from '../testkit/rows.js';

export interface PassResult {
  readonly pass: JanitorPassRecord;
  readonly findings: readonly JanitorFinding[];
}

/** A database and a bucket of one test file, what tests put into them, and janitors that look at them. */
export class JanitorHarness {
  database!: Database;
  store!: S3ObjectStore;
  inventory!: S3ObjectInventory;
  passes!: JanitorPassStore;
  removals!: ObjectRemovalStore;

  async open(): Promise<void> {
    const { postgres, store } = inject('stack');
    const name = `j${randomUUID().slice(0, 8)}`;
    this.database = await Database.connect({ url: postgres.url, schema: name, poolSize: 6, startupTimeoutMs: 5_000 }, silentLogger);
    await this.database.migrate();
    const { endpoint, accessKey, secretKey } = store;
    const options = { endpoint, publicEndpoint: endpoint, region: 'us-east-1', bucket: `test-${name}`, accessKey, secretKey };
    this.store = await S3ObjectStore.connect({ ...options, startupTimeoutMs: 10_000 }, silentLogger);
    await this.store.ensureBucket();
    this.inventory = new S3ObjectInventory(options);
    this.useDatabase(this.database);
  }

  useDatabase(database: Database): void {
    this.database = database;
    this.passes = new JanitorPassStore(database);
    this.removals = new ObjectRemovalStore(database);
  }

  sql(text: string, ...values: readonly unknown[]): Promise<unknown[]> {
    return this.database.query('test', text, values);
  }

  janitor(options: Partial<JanitorOptions> = {}, id = newId('crd')): Janitor {
    const { database, inventory, passes, removals, store } = this;
    return new Janitor({
      id,
      database,
      passes,
      removals,
      work: new JanitorWorkStore(database),
      references: new ObjectReferenceStore(database),
      inventory,
      objects: store,
      clock: systemClock,
      logger: silentLogger,
      options: {
        leaseMs: 60_000,
        intervalMs: 0,
        automaticMode: 'DELETE',
        graceMs: 0,
        retention: { keepLast: 2, keepBest: 1 },
        pageSize: 7,
        maxFindings: 10_000,
        ...options,
      },
    });
  }

  /** @param holder whose it is from the first, so that no other coordinator of the same database makes it */
  async request(seeded: SeededProject, mode: JanitorMode, holder: CoordinatorId | null = null): Promise<JanitorPassId> {
    const id = newId('jan');
    await this.database.transaction('request', async (tx) => {
      await this.passes.request(tx, { id, projectId: seeded.projectId, requestedBy: seeded.tokenId, mode });
      if (holder === null) return;
      const held = `update janitor_passes set status = 'RUNNING', lease_holder = $2, lease_until = now() + interval '1 minute' where id = $1`;
      await tx.query('hold', held, [uuidOf(id), holder]);
    });
    return id;
  }

  /** A whole pass over the project. */
  async pass(seeded: SeededProject, mode: JanitorMode, janitor?: Pick<Janitor, 'turn'>): Promise<PassResult> {
    if (janitor === undefined) return await this.passOfOurs(seeded, mode);
    const id = await this.request(seeded, mode);
    await this.turns(id, janitor);
    return await this.result(seeded, id);
  }

  private async passOfOurs(seeded: SeededProject, mode: JanitorMode): Promise<PassResult> {
    const ours = newId('crd');
    const id = await this.request(seeded, mode, ours);
    await this.turns(id, this.janitor({}, ours));
    return await this.result(seeded, id);
  }

  /** Turns until the pass has ended. */
  async turns(id: JanitorPassId, janitor: Pick<Janitor, 'turn'>): Promise<void> {
    for (let left = 50; left > 0; left--) {
      await janitor.turn();
      const [row] = await this.sql('select finished_at from janitor_passes where id = $1', uuidOf(id));
      if ((row as { finished_at: unknown }).finished_at !== null) return;
    }
    throw new Error(`pass ${id} does not end`);
  }

  async result(seeded: SeededProject, id: JanitorPassId): Promise<PassResult> {
    const pass = await this.passes.find(seeded.projectId, id);
    if (pass === null) throw new Error(`there is no pass ${id}`);
    const { items } = await this.passes.findings(id, { limit: 1_000, after: null });
    return { pass, findings: items.map(({ item }) => item) };
  }

  /** Keys of the project, and of the staging area, that are in the store. */
  async keys(seeded: SeededProject): Promise<string[]> {
    const own = await this.inventory.list(objectKeys.projectPrefix(seeded.projectId), '', 1_000);
    const staged = await this.inventory.list(`staging/${seeded.uploadId}/`, '', 1_000);
    return [...own, ...staged].map(({ key }) => key);
  }

  async put(key: string, text = key): Promise<string> {
    await this.store.put(key, Buffer.from(text), 'application/octet-stream');
    return key;
  }

  /** A project whose one dataset version has its manifest, and no upload in inspection. */
  async project(): Promise<SeededProject> {
    const seeded = await seedProject(this.database);
    const key = await this.put(objectKeys.manifest(seeded.projectId, hash(seeded.projectId)));
    await this.sql('update dataset_versions set manifest_key = $2 where id = $1', uuidOf(seeded.datasetVersionId), key);
    await this.sql(`update uploads set status = 'READY' where id = $1`, uuidOf(seeded.uploadId));
    return seeded;
  }

  /** A run with a checkpoint in the store for each loss (null: not evaluated), ten steps apart, and an attempt that has ended; the keys of the tensors. */
  async run(
    seeded: SeededProject,
    losses: readonly (number | null)[],
  ): Promise<{ runId: RunId; keys: string[]; ids: string[]; attempt: string }> {
    const runId = await seedRun(this.database, seeded);
    const attempt = uuidOf(newId('att'));
    await this.sql(
      `insert into attempts (id, project_id, run_id, number, generation, token, worker_id, worker_name, status, ended_at)
       values ($1, $2, $3, 1, 1, gen_random_uuid(), gen_random_uuid(), 'w', 'LOST', now())`,
      attempt,
      uuidOf(seeded.projectId),
      uuidOf(runId),
    );
    const keys: string[] = [];
    const ids: string[] = [];
    for (const [i, loss] of losses.entries()) {
      const checkpointId = newId('ckp');
      const key = await this.put(objectKeys.checkpoint(seeded.projectId, runId, checkpointId));
      await this.put(objectKeys.checkpointDescription(key), '{}');
      const step = (i + 1) * 10;
      await this.sql(
        `insert into checkpoints (id, project_id, run_id, attempt_id, epoch, step, object_key, sha256, bytes) values ($1, $2, $3, $4, 1, $5, $6, sha256('x'), 1000)`,
        ...[checkpointId, seeded.projectId, runId].map(uuidOf),
        attempt,
        step,
        key,
      );
      await this.sql('update training_runs set checkpoint_id = $2 where id = $1', uuidOf(runId), uuidOf(checkpointId));
      if (loss !== null) {
        await this.sql(
          `insert into metrics (run_id, name, step, value, kind, occurred_at) values ($1, 'val/loss', $2, $3, 'FINITE', now())`,
          uuidOf(runId),
          step,
          loss,
        );
      }
      keys.push(key);
      ids.push(uuidOf(checkpointId));
    }
    return { runId, keys, ids, attempt };
  }

  /** A verified image in the store that no upload and no dataset refers to yet. */
  async image(seeded: SeededProject, text: string = randomUUID()): Promise<{ sha256: string; key: string }> {
    const sha256 = hash(text);
    const key = await this.put(objectKeys.image(seeded.projectId, sha256), text);
    await this.sql(
      `insert into objects (project_id, sha256, bytes, format, width_px, height_px, channels) values ($1, decode($2, 'hex'), $3, 'png', 8, 8, 1)`,
      uuidOf(seeded.projectId),
      sha256,
      text.length,
    );
    return { sha256, key };
  }

  /** Makes the image a sample of the project's dataset version. */
  async sample(seeded: SeededProject, sha256: string, ordinal: number): Promise<void> {
    await this.sql(
      `insert into samples (dataset_version_id, ordinal, project_id, file_name, sha256, label, patient, split)
       values ($1, $2::integer, $3, 'f' || $2::integer, decode($4, 'hex'), 'a', 'p', 'train')`,
      uuidOf(seeded.datasetVersionId),
      ordinal,
      uuidOf(seeded.projectId),
      sha256,
    );
  }
}

export const hash = (text: string) => createHash('sha256').update(text).digest('hex');
export const description = (key: string) => objectKeys.checkpointDescription(key);

export function useJanitor(): JanitorHarness {
  const harness = new JanitorHarness();
  beforeAll(() => harness.open());
  afterAll(() => harness.database.close());
  return harness;
}
