import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  importDataset,
  metricSeries,
  pauseTrainingRun,
  resumeTrainingRun,
  startTrainingRun,
  trainingRun,
  type UploadProgress,
  uploadImages,
} from '@roentgen/client';
import { Database } from '@roentgen/database';
import { coerceError, parseId, uuidOf } from '@roentgen/domain';
import { locateMinio, type Stack } from '@roentgen/local-stack';
import { silentLogger } from '@roentgen/logger';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test, vi, type TestContext } from 'vitest';
import { z } from 'zod';
import { brokenInvariants } from '../testkit/faults/row-invariants.js';
import { compareObjectsWithRows } from '../testkit/faults/stored-objects.js';
import { WatchedRun } from '../testkit/faults/watched-run.js';
import { startTestStack } from '../testkit/global-stack.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { LimitedDisk } from '../testkit/limited-disk.js';
import { syntheticDataset } from '../testkit/seed.js';
import { startSystem, type System } from '../testkit/start-system.js';

const MIB = 1024 ** 2;
/** SeaweedFS makes no volumes on a disk that is much smaller. */
const STORE_BYTES = 2048 * MIB;
const DATABASE_BYTES = 256 * MIB;
const RECIPE = { variant: 'B0', imageSizePx: 32, epochs: 2, globalBatchSize: 8, microBatchSize: 8, seed: 3 } as const;
const EVENTUALLY = { timeout: 60_000, interval: 100 };

const ENVIRONMENT = {
  ...{ WORKER_INTRA_OP_THREADS: '1', WORKER_INTER_OP_THREADS: '1', COORDINATOR_JANITOR: 'off' },
  ...{ GATEWAY_HEALTH_PORT: '0', COORDINATOR_HEALTH_PORT: '0', WORKER_HEALTH_PORT: '0' },
};

const closing: (() => unknown)[] = [];
let noDisks: string | null = null;
let folder: string;
let storeDisk: LimitedDisk;
let databaseDisk: LimitedDisk;
let stack: Stack;
let system: System;
let database: Database;
let datasetVersionId: string;
let calm: Outcome;
let calmId: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roentgen-full-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  const isMinio = process.env['TEST_STORE'] === 'minio' && locateMinio(process.env) !== undefined;
  try {
    storeDisk = limitedDisk(isMinio ? 'minio' : 'seaweedfs', STORE_BYTES);
    databaseDisk = limitedDisk('tables', DATABASE_BYTES);
  } catch (thrown) {
    noDisks = `NOT TESTED: what happens when a disk is full. It takes the right to mount a tmpfs (root): ${coerceError(thrown).message.trim()}`;
    console.warn(noDisks);
    return;
  }
  stack = await startTestStack({ profile: 'durable', dataDirectory: folder });
  closing.push(() => stack.stop());
  await onLimitedDisk();
  system = await startSystem(stack, { environment: ENVIRONMENT });
  closing.push(() => system.close());
  database = await Database.connect({ ...system.parts.postgres, poolSize: 2, startupTimeoutMs: 10_000 }, silentLogger);
  closing.push(() => database.close());
  const files = importFiles(await syntheticDataset({ images: 40, patients: 16, sizePx: 32 }));
  ({ datasetVersionId } = await importDataset(system.client, { name: 'chests', files, split: SPLIT }));
  const run = await train();
  await run.ended();
  calmId = run.id;
  calm = await outcomeOf(run.id);
});
afterEach(() => {
  if (noDisks !== null) return;
  storeDisk.restore();
  databaseDisk.restore();
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

function limitedDisk(name: string, sizeBytes: number): LimitedDisk {
  const disk = LimitedDisk.open(join(folder, name), sizeBytes);
  closing.push(() => disk.close());
  return disk;
}

/** Tables and indexes go to the limited disk; the write-ahead log, without which Postgres ends, stays where it was. */
async function onLimitedDisk(): Promise<void> {
  const admin = await Database.connect({ url: stack.postgres.url, schema: 'public', poolSize: 1, startupTimeoutMs: 10_000 }, silentLogger);
  await admin.query('tablespace', `create tablespace limited location '${databaseDisk.folder}'`);
  await admin.query('default', 'alter database postgres set default_tablespace = limited');
  await admin.close();
}

async function train(): Promise<WatchedRun> {
  const { id } = await startTrainingRun(system.client, { datasetVersionId, recipe: RECIPE });
  return new WatchedRun(system.client, id);
}

/** A run that has begun to compute, and is not through. */
async function trainUntilFirstStep(): Promise<WatchedRun> {
  const run = await train();
  await run.until('the first step', () => run.count('STEP_COMMITTED') > 0);
  return run;
}

interface Outcome {
  readonly status: string;
  readonly points: readonly string[];
  readonly digests: readonly unknown[];
}

/** What a run came to: its numbers, speeds left out, and the SHA-256 of its state at each checkpoint. */
async function outcomeOf(id: string): Promise<Outcome> {
  const { status } = await trainingRun(system.client, id);
  const points = (await metricSeries(system.client, id))
    .filter(({ name }) => !name.startsWith('perf/'))
    .map(({ epoch, step, name, value }) => `${epoch} ${step} ${name} ${value}`);
  const digests = await database.query(
    'digests',
    `select step, encode(sha256, 'hex') as sha256 from checkpoints where run_id = $1 order by step`,
    [uuidOf(parseId('run', id))],
  );
  return { status, points, digests };
}

const waitOf = async (id: string) => {
  const { status, whyWaiting } = await trainingRun(system.client, id);
  return { status, code: whyWaiting?.code, message: whyWaiting?.message };
};

/** What a service says of one of its parts, and whether it is ready. */
async function readyz(service: string, part: string) {
  const response = await fetch(`${system.healthUrls.get(service)}/readyz`);
  const Report = z.object({ dependencies: z.array(z.object({ name: z.string(), state: z.string(), reason: z.string().nullable() })) });
  const { dependencies } = Report.parse(await response.json());
  return { status: response.status, ...dependencies.find(({ name }) => name === part) };
}

/** It went on with the same attempt, and came to what it comes to when nothing happens. */
async function expectUndisturbed(run: WatchedRun): Promise<void> {
  await run.ended();
  expect(run.events.map(({ sequence }) => sequence)).toEqual(run.events.map((_, index) => index + 1));
  expect(run.count('ATTEMPT_ASSIGNED'), run.story()).toBe(1);
  expect(await waitOf(run.id)).toEqual({ status: 'SUCCEEDED' });
  expect(await outcomeOf(run.id)).toEqual(calm);
  await expectRowsAndObjectsFit();
}

async function expectRowsAndObjectsFit(): Promise<void> {
  expect(await brokenInvariants(database)).toEqual([]);
  expect(await compareObjectsWithRows(database, system.parts.store)).toEqual({ orphans: [], incomplete: [], missing: [] });
}

const skippedWithoutDisks = ({ skip }: TestContext) => void (noDisks !== null && skip(noDisks));

test('while the disk of the store is full a run waits with its checkpoint and says why; with room again it goes on as if nothing had been', async (context) => {
  skippedWithoutDisks(context);
  const run = await trainUntilFirstStep();
  storeDisk.fill(MIB / 4);

  await vi.waitFor(async () => expect(await waitOf(run.id)).toMatchObject({ status: 'RUNNING', code: 'STORE_FULL' }), EVENTUALLY);
  expect((await waitOf(run.id)).message).toMatch(/^upload of checkpoint ckp_\w+: the object store has no room\..*disk made larger/);
  expect(await readyz('worker-1', 'store')).toMatchObject({ status: 503, state: 'DOWN', reason: expect.stringMatching(/full/) });
  const bytes = randomBytes(MIB);
  const files = importFiles([{ fileName: 'large.png', label: 'normal', patient: 'p', bytes }]);
  await expect(uploadImages(system.client, files)).rejects.toThrow(/HTTP 50\d.*disk/);
  expect(await waitOf(run.id)).toMatchObject({ status: 'RUNNING', code: 'STORE_FULL' });

  storeDisk.restore();
  await expectUndisturbed(run);
});

test('a run that waits for room in the store can be paused, and goes on from what was stored', async (context) => {
  skippedWithoutDisks(context);
  const run = await trainUntilFirstStep();
  storeDisk.fill(MIB / 4);
  await vi.waitFor(async () => expect(await waitOf(run.id)).toMatchObject({ code: 'STORE_FULL' }), EVENTUALLY);
  await pauseTrainingRun(system.client, run.id);
  await vi.waitFor(async () => expect(await waitOf(run.id)).toMatchObject({ status: 'PAUSED', code: 'PAUSED' }), EVENTUALLY);
  storeDisk.restore();
  await resumeTrainingRun(system.client, run.id);
  await run.ended();
  expect(await outcomeOf(run.id)).toEqual(calm);
  await expectRowsAndObjectsFit();
});

test('an import whose files are looked at while the disk of the store is full waits, rejects none of them, and ends with room again', async (context) => {
  skippedWithoutDisks(context);
  const noise = await Promise.all(
    [1, 2].map(async (n) => ({ fileName: `${n}.png`, label: 'normal', patient: `p${n}`, bytes: await noiseImage() })),
  );
  const onProgress = ({ phase, done, total }: UploadProgress) => (phase === 'send' && done === total ? storeDisk.fill() : undefined);
  const upload = uploadImages(system.client, importFiles(noise), { onProgress });
  const waits = () => system.logOf('worker-1').filter(({ msg }) => /^keeping of \d\.png: failed, trying again/.test(String(msg)));
  await vi.waitFor(() => expect(waits().length).toBeGreaterThan(2), EVENTUALLY);
  storeDisk.restore();
  expect(await upload).toMatchObject({ verifiedCount: 2, rejected: [] });
});

/** Of 750 KiB that cannot be made smaller. */
const noiseImage = async () =>
  Buffer.from(
    await sharp(randomBytes(512 * 512 * 3), { raw: { width: 512, height: 512, channels: 3 } })
      .png()
      .toBuffer(),
  );

test('while the disk of Postgres is full the facts of a run wait at its worker, reading goes on, and what cannot be written is refused with the reason', async (context) => {
  skippedWithoutDisks(context);
  const run = await trainUntilFirstStep();
  databaseDisk.fill();
  await fillEventPages();

  await vi.waitFor(async () => expect(await waitOf(run.id)).toMatchObject({ status: 'RUNNING', code: 'DATABASE_FULL' }), EVENTUALLY);
  const many = Array.from({ length: 500 }, (_, n) => ({ fileName: `${n}.png`, label: 'normal', patient: 'p', bytes: randomBytes(8) }));
  await expect(uploadImages(system.client, importFiles(many))).rejects.toMatchObject({
    code: 'DATABASE_FULL',
    message: expect.stringMatching(/database is full.*Nothing was changed.*free space/),
  });
  const full = { state: 'DOWN', reason: expect.stringMatching(/disk of Postgres.*is full/) as string };
  expect(await readyz('coordinator', 'postgres')).toMatchObject({ status: 503, ...full });
  expect(await readyz('gateway', 'postgres-space')).toMatchObject({ status: 200, ...full });

  databaseDisk.restore();
  await database.query('clear', 'delete from run_events where sequence > 1000000');
  await expectUndisturbed(run);
});

/** Pages that are there still have room for a few events: takes it. */
async function fillEventPages(): Promise<void> {
  const insert = async () => {
    for (let sequence = 1_000_001; ; sequence++) {
      await database.query(
        'fill',
        `insert into run_events (run_id, sequence, event_id, kind, occurred_at, payload) values ($1, $2, $3, 'STEP_COMMITTED', now(), '{}')`,
        [uuidOf(parseId('run', calmId)), sequence, `fill ${sequence}`],
      );
    }
  };
  await expect(insert()).rejects.toMatchObject({ code: 'DATABASE_FULL' });
}
