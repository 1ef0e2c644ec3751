import type { Parts } from '@roentgen/cli';
import {
  RoentgenClient,
  downloadCsv,
  importDataset,
  janitorFindings,
  modelOfRun,
  predict,
  predictionJob,
  runJanitor,
  startTrainingRun,
  trainingRun,
  watchRun,
  type PredictionRequest,
  type RunEvent,
} from '@roentgen/client';
import { Database, shippedMigrations } from '@roentgen/database';
import { parseId, uuidOf } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { copyBucket } from '../testkit/bucket-copy.js';
import { copyDatabase, restoreDatabase, type DatabaseCopy } from '../testkit/database-copy.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import { ownParts, startSystem, type System } from '../testkit/start-system.js';

const RECIPE = { variant: 'LITE0', imageSizePx: 32, globalBatchSize: 8, microBatchSize: 8, seed: 3 } as const;
const EPOCHS = 3;
/** As docs/backup.md says: the janitor is off from before a backup to after it, and after a restore. */
const environment = { WORKER_INTRA_OP_THREADS: '1', COORDINATOR_WORKER_LOST_MS: '2000', COORDINATOR_JANITOR: 'off' };

/** What was in the middle when the backup was made, and how it ended where nothing was restored. */
interface Story {
  readonly token: string;
  readonly datasetVersionId: string;
  readonly modelId: string;
  readonly runId: string;
  readonly jobId: string;
  readonly rows: DatabaseCopy;
  /** A copy of the bucket, as the store of a system that is not there yet. */
  readonly store: Parts['store'];
  readonly metrics: unknown[];
  readonly csv: string;
}

const stack = inject('stack');
const open: Database[] = [];
let system: System | undefined;
let story: Story;

const connect = async ({ postgres }: Parts): Promise<Database> => {
  const database = await Database.connect({ ...postgres, poolSize: 2, startupTimeoutMs: 5_000 }, silentLogger);
  open.push(database);
  return database;
};
const uuidOfRun = (runId: string) => uuidOf(parseId('run', runId, 'run'));
/** Every value as it is stored, but for how fast it was. */
const metricsOf = (database: Database, runId: string) =>
  database.query(
    'look',
    `select epoch, step, name, value::text, kind from metrics where run_id = $1 and name not like 'perf/%' order by name, step`,
    [uuidOfRun(runId)],
  );

/** A run that is trained to its middle, with a prediction that waits behind it; backed up while it goes on, and then let finish. */
beforeAll(async () => {
  system = await startSystem(stack, { environment });
  const { client } = system;
  const database = await connect(system.parts);
  const files = importFiles(await syntheticDataset({ images: 40, patients: 16 }));
  const { datasetVersionId } = await importDataset(client, { name: 'chests', files, split: SPLIT });
  const first = await startTrainingRun(client, { datasetVersionId, recipe: { ...RECIPE, epochs: 1 } });
  for await (const { kind } of watchRun(client, first.id)) expect(kind).not.toBe('RUN_FAILED');
  const modelId = await modelOfRun(client, first.id);

  const run = await startTrainingRun(client, { datasetVersionId, recipe: { ...RECIPE, epochs: EPOCHS } });
  let prediction: ReturnType<typeof predictSoon> | undefined;
  let backup: ReturnType<typeof makeBackup> | undefined;
  for await (const { kind, epoch } of watchRun(client, run.id)) {
    if (kind === 'RUN_STARTED') prediction = predictSoon(client, { modelId, datasetVersionId, split: 'VAL' });
    if (kind === 'CHECKPOINT_SAVED' && epoch === 1) backup = prediction!.asked.then(() => makeBackup(system!.parts, database));
  }
  const { id: jobId } = await prediction!.done;
  story = {
    ...(await backup!),
    ...{ token: system.adminToken, datasetVersionId, modelId, runId: run.id, jobId },
    metrics: await metricsOf(database, run.id),
    csv: await downloadCsv(client, jobId),
  };
  await system.close();
});
afterEach(() => system?.close());
afterAll(() => Promise.all(open.map((database) => database.close())));

/** `asked`: there is such a job. */
function predictSoon(client: RoentgenClient, request: PredictionRequest) {
  let onProgress = (): void => undefined;
  const asked = new Promise<void>((resolve) => (onProgress = resolve));
  return { asked, done: predict(client, request, { onProgress }) };
}

/** First the database, then the store. */
async function makeBackup(parts: Parts, database: Database): Promise<Pick<Story, 'rows' | 'store'>> {
  const rows = await copyDatabase(database);
  const { store } = ownParts(stack);
  await copyBucket(parts.store, store);
  return { rows, store };
}

/** The backup is from before: what was announced then is no longer on any queue. */
const ageAnnouncements = (database: Database) =>
  database.query('age', `update chunks set announced_at = announced_at - interval '1 day', lease_until = lease_until - interval '1 day'`);

async function expectInTheMiddle(database: Database): Promise<void> {
  const [run] = await database.query('look', 'select status, checkpoint_id is not null as saved from training_runs where id = $1', [
    uuidOfRun(story.runId),
  ]);
  expect(run).toEqual({ status: 'RUNNING', saved: true });
  expect(await database.query('look', 'select status from attempts where ended_at is null')).toEqual([{ status: 'RUNNING' }]);
  const open = await database.query('look', `select 1 from chunks where job_id is not null and status in ('PENDING', 'CLAIMED')`);
  expect(open).not.toHaveLength(0);
}

/** Run and prediction end as if nothing had happened, nothing is missing, and what there was can be used with the token from before. */
async function expectAllGoesOn({ url, parts }: System): Promise<void> {
  const client = new RoentgenClient({ url, token: story.token });
  const events: RunEvent[] = [];
  for await (const event of watchRun(client, story.runId)) events.push(event);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  expect(events.at(-1)?.kind).toBe('RUN_SUCCEEDED');
  expect(events.filter(({ kind }) => kind === 'RUN_STARTED')).toHaveLength(2);
  expect(events.filter(({ kind }) => kind === 'ATTEMPT_LOST' || kind === 'ATTEMPT_FAILED')).toHaveLength(1);
  expect(await trainingRun(client, story.runId)).toMatchObject({ status: 'SUCCEEDED', epoch: EPOCHS });
  const metrics = await metricsOf(await connect(parts), story.runId);
  expect(metrics.length).toBeGreaterThan(20);
  expect(metrics).toEqual(story.metrics);

  await expect.poll(async () => (await predictionJob(client, story.jobId)).status, { timeout: 30_000 }).toBe('SUCCEEDED');
  expect(await downloadCsv(client, story.jobId)).toBe(story.csv);
  const { modelId, datasetVersionId } = story;
  expect(await predict(client, { modelId, datasetVersionId, split: 'TEST' })).toMatchObject({ status: 'SUCCEEDED' });

  const pass = await runJanitor(client, { delete: false });
  const findings = await janitorFindings(client, pass.id);
  expect(findings.filter(({ kind }) => kind === 'MISSING')).toEqual([]);
}

test('a backup that was made while a run was in its middle is restored: the run goes on from its checkpoint and ends with the same numbers', async () => {
  const parts = { ...ownParts(stack), store: story.store };
  const database = await connect(parts);
  await database.migrate();
  await restoreDatabase(database, story.rows);
  await ageAnnouncements(database);
  await expectInTheMiddle(database);
  system = await startSystem(stack, { environment, parts });
  await expectAllGoesOn(system);
});

test('a schema of the version before is migrated with a run, a prediction and a claimed chunk in flight, and all of them end', async () => {
  const parts = { ...ownParts(stack), store: story.store };
  const shipped = await shippedMigrations();
  const database = await connect(parts);
  await database.migrate(shipped.slice(0, -1));
  await restoreDatabase(database, story.rows);
  await ageAnnouncements(database);
  await database.query(
    'claim',
    `update chunks set status = 'CLAIMED', token = gen_random_uuid(), claims = 1, lease_until = now() + interval '10 minutes',
            worker_id = (select worker_id from attempts where ended_at is null)
      where job_id is not null and status = 'PENDING'`,
  );
  await expectInTheMiddle(database);
  system = await startSystem(stack, { environment, parts });
  const applied = await database.query('look', 'select name from schema_migrations order by name');
  expect(applied).toEqual(shipped.map(({ name }) => ({ name })));
  await expectAllGoesOn(system);
});
