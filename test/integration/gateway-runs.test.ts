import { beforeAll, expect, inject, test, vi } from 'vitest';
import { Database } from '@roentgen/database';
import { AUGMENTATION_PRESETS, newId, uuidOf } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { CoordinatorWake, LiveRunEvents } from '@roentgen/protocol';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { finishRun, makeChestDataset, startRun } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
});

const START = `mutation ($input: StartTrainingRunInput!) { startTrainingRun(input: $input) { ok error { code message inputErrors { field message } } run { id } } }`;

async function start(input: object): Promise<unknown> {
  return at(await harness().ask(token, START, { input: { datasetVersionId: versionId, ...input } }), 'startTrainingRun');
}
const startedRun = (input: object = {}) => startRun(harness(), token, versionId, input);
const finishedRun = () => finishRun(harness(), token, versionId);

test('a run is queued with its whole recipe, its first event, and a call to the coordinators', async () => {
  const stack = inject('stack');
  const bus = await Bus.connect(
    {
      ...harness().config.nats,
      user: 'coordinator',
      password: stack.nats.users['coordinator']?.password ?? '',
      role: 'coordinator',
      name: 'test',
      startupTimeoutMs: 5_000,
    },
    silentLogger,
  );
  const wakes: string[] = [];
  bus.subscribe(CoordinatorWake, [], ({ reason }) => void wakes.push(reason));
  const admin = await Bus.connect(
    {
      ...harness().config.nats,
      user: 'admin',
      password: stack.nats.users['admin']?.password ?? '',
      role: 'coordinator',
      name: 'test',
      startupTimeoutMs: 5_000,
    },
    silentLogger,
  );
  const live: string[] = [];
  admin.subscribe(
    LiveRunEvents,
    [],
    ({ runId, events }) => void live.push(...events.map((event) => `${runId} ${event.sequence} ${event.kind}`)),
  );
  await vi.waitFor(async () => {
    wakes.length = live.length = 0;
    const runId = await startedRun({ recipe: { variant: 'efficientnet-b3', schedule: { warmupSteps: 3 }, imageSizePx: 64 } });
    await vi.waitFor(() => expect([wakes, live]).toEqual([['run-queued'], [`${runId} 1 RUN_QUEUED`]]), { timeout: 500 });
    expect(
      at(
        await harness().ask(
          token,
          `{ trainingRun(id: "${runId}") { name status headSequence epochs recipe { variant imageSizePx batchNorm optimizer { kind beta2 } schedule { kind warmupSteps } augmentation { horizontalFlip } } datasetVersion { dataset { name } } attempts { id } model { id } latestMetrics { name } } }`,
        ),
        'trainingRun',
      ),
    ).toEqual({
      name: 'B3 on chest v1',
      status: 'QUEUED',
      headSequence: 1,
      epochs: 5,
      recipe: {
        variant: 'B3',
        imageSizePx: 64,
        batchNorm: 'BATCH',
        optimizer: { kind: 'ADAM', beta2: 0.999 },
        schedule: { kind: 'COSINE', warmupSteps: 3 },
        augmentation: { horizontalFlip: 0 },
      },
      datasetVersion: { dataset: { name: 'chest' } },
      attempts: [],
      model: null,
      latestMetrics: [],
    });
  });
  await Promise.all([bus.close(), admin.close()]);
});

test('what a recipe leaves out is what its variant was designed with; the micro-batch waits for the workers', async () => {
  const recipeOf = async (recipe: object) =>
    at(
      await harness().ask(
        token,
        `{ trainingRun(id: "${await startedRun({ recipe })}") { recipe { imageSizePx dropoutRate globalBatchSize microBatchSize } } }`,
      ),
      'trainingRun.recipe',
    );
  expect(await recipeOf({ variant: 'b3', globalBatchSize: 8 })).toEqual({
    ...{ imageSizePx: 300, dropoutRate: 0.3, globalBatchSize: 8, microBatchSize: null },
  });
  expect(await recipeOf({ variant: 'b3', imageSizePx: 64, dropoutRate: 0, microBatchSize: 4 })).toEqual({
    ...{ imageSizePx: 64, dropoutRate: 0, globalBatchSize: 16, microBatchSize: 4 },
  });
});

test('a recipe that breaks rules is refused with value, rule and fix, and no run is made', async () => {
  const before = at(await harness().ask(token, '{ trainingRuns { totalCount } }'), 'trainingRuns.totalCount');
  expect(await start({ recipe: { globalBatchSize: 50, microBatchSize: 16 } })).toMatchObject({
    ok: false,
    run: null,
    error: {
      code: 'INVALID_RECIPE',
      inputErrors: [
        { field: 'recipe.globalBatchSize', message: expect.stringContaining('Use 48 or 64, or set microBatchSize to 10 or 25.') },
      ],
    },
  });
  expect(await start({ recipe: { variant: 'b9', epochs: 0, imageSizePx: 20_000 } })).toMatchObject({
    error: {
      inputErrors: [
        { field: 'recipe.variant', message: expect.stringContaining('use one of B0, B1') },
        { field: 'recipe.imageSizePx' },
        { field: 'recipe.epochs' },
      ],
    },
  });
  expect(await start({ recipe: { globalBatchSize: 512, microBatchSize: 512 } })).toMatchObject({
    error: {
      code: 'INVALID_INPUT',
      inputErrors: [{ field: 'recipe.microBatchSize', message: expect.stringContaining('the size of the train split') }],
    },
  });
  expect(await start({ datasetVersionId: newId('dsv') })).toMatchObject({ error: { code: 'NOT_FOUND' } });
  expect(at(await harness().ask(token, '{ trainingRuns { totalCount } }'), 'trainingRuns.totalCount')).toBe(before);
});

test('a run takes any optimiser with its own fields, and refuses those of another', async () => {
  const recipe = {
    optimizer: { kind: 'SGD', momentum: 0.8 },
    schedule: { kind: 'EXPONENTIAL', finalFraction: 0.1 },
    ...{ clipNorm: 1, emaDecay: 0.99, layerDecay: 0.9, classWeights: 'BALANCED', freeze: { until: 'HEAD', epochs: 1 } },
    ...{ precision: 'BF16', recompute: true },
  };
  const runId = await startedRun({ recipe });
  const fields =
    'optimizer { kind beta1 weightDecay momentum nesterov } schedule { kind warmupSteps finalFraction } clipNorm emaDecay layerDecay classWeights freeze { until epochs } precision recompute';
  expect(at(await harness().ask(token, `{ trainingRun(id: "${runId}") { recipe { ${fields} } } }`), 'trainingRun.recipe')).toEqual({
    ...recipe,
    optimizer: { kind: 'SGD', beta1: null, weightDecay: null, momentum: 0.8, nesterov: true },
    schedule: { kind: 'EXPONENTIAL', warmupSteps: 0, finalFraction: 0.1 },
  });
  const message = 'weightDecay 0.1 does not belong to optimizer kind "adam": leave it out, or use kind "adamw"';
  expect(await start({ recipe: { optimizer: { weightDecay: 0.1 } } })).toMatchObject({
    ok: false,
    error: { code: 'INVALID_RECIPE', inputErrors: [{ field: 'recipe.optimizer', message }] },
  });
});

test('a run takes a preset of augmentation with ranges of its own, and shows what came of it', async () => {
  const runId = await startedRun({ recipe: { augmentation: { preset: 'LIGHT', rotationDegrees: 3, horizontalFlip: 0.5 } } });
  const fields = 'rotationDegrees horizontalFlip shiftFraction scaleFraction brightness contrast';
  expect(
    at(
      await harness().ask(token, `{ trainingRun(id: "${runId}") { recipe { augmentation { ${fields} } } } }`),
      'trainingRun.recipe.augmentation',
    ),
  ).toEqual({ ...AUGMENTATION_PRESETS.light, rotationDegrees: 3, horizontalFlip: 0.5 });
  expect(await start({ recipe: { augmentation: { contrast: 1 } } })).toMatchObject({
    ok: false,
    error: {
      code: 'INVALID_RECIPE',
      inputErrors: [{ field: 'recipe.augmentation.contrast', message: '1 must be at most 0.9; use a number from 0 to 0.9' }],
    },
  });
});

test('starting twice with one key starts once', async () => {
  const burst = await Promise.all(Array.from({ length: 5 }, () => startedRun({ idempotencyKey: 'once' })));
  expect(new Set(burst).size).toBe(1);
  expect(await start({ idempotencyKey: 'once', name: 'another' })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
});

test('a queued run is cancelled at once, one that a worker has at its next step, and again changes nothing', async () => {
  const cancel = (id: string) =>
    harness().ask(
      token,
      `mutation { cancelTrainingRun(input: { runId: "${id}" }) { ok run { status statusCode headSequence finishedAt } } }`,
    );
  const kinds = async (id: string) =>
    at(await harness().ask(token, `{ trainingRunEvents(runId: "${id}") { kind status } }`), 'trainingRunEvents');
  const queued = await startedRun();
  const first = await cancel(queued);
  expect(first).toMatchObject({
    cancelTrainingRun: {
      ok: true,
      run: { status: 'CANCELLED', statusCode: 'CANCELLED_BY_USER', headSequence: 3, finishedAt: expect.any(String) },
    },
  });
  expect(await cancel(queued)).toEqual(first);
  expect(await kinds(queued)).toEqual([
    { kind: 'RUN_QUEUED', status: 'QUEUED' },
    { kind: 'CANCEL_REQUESTED', status: null },
    { kind: 'RUN_CANCELLED', status: 'CANCELLED' },
  ]);

  const running = await startedRun();
  await harness().database.query('prepare', `update training_runs set status = 'PREPARING' where id = $1`, [uuidOf(running)]);
  const asked = await cancel(running);
  expect(asked).toMatchObject({ cancelTrainingRun: { run: { status: 'CANCELLING', headSequence: 2, finishedAt: null } } });
  expect(await cancel(running)).toEqual(asked);
  const { runId } = await finishedRun();
  expect(await cancel(runId)).toMatchObject({ cancelTrainingRun: { ok: true, run: { status: 'SUCCEEDED' } } });
});

test('a run is paused and resumed, at its worker only when that has left; what cannot be is said with the way out', async () => {
  const command = (name: string, id: string, more = '') =>
    harness().ask(
      token,
      `mutation { ${name}TrainingRun(input: { runId: "${id}"${more} }) { ok error { code message } run { status statusCode } } }`,
    );
  const queued = await startedRun();
  for (let i = 0; i < 2; i++) {
    expect(await command('pause', queued)).toEqual({
      pauseTrainingRun: { ok: true, error: null, run: { status: 'PAUSED', statusCode: 'PAUSED_BY_USER' } },
    });
  }
  for (let i = 0; i < 2; i++) {
    expect(await command('resume', queued)).toEqual({
      resumeTrainingRun: { ok: true, error: null, run: { status: 'QUEUED', statusCode: 'RESUMED_BY_USER' } },
    });
  }
  await harness().database.query('prepare', `update training_runs set status = 'RUNNING' where id = $1`, [uuidOf(queued)]);
  expect(await command('pause', queued)).toMatchObject({ pauseTrainingRun: { run: { status: 'PAUSING' } } });
  expect(await command('resume', queued)).toMatchObject({
    resumeTrainingRun: { ok: false, error: { code: 'CONFLICT', message: expect.stringContaining('PAUSING') } },
  });
  expect(await command('pause', queued, ', force: true')).toMatchObject({ pauseTrainingRun: { run: { status: 'PAUSED' } } });
  expect(await command('cancel', queued)).toMatchObject({ cancelTrainingRun: { run: { status: 'CANCELLED' } } });
  expect(await command('pause', queued)).toMatchObject({ pauseTrainingRun: { ok: false, error: { code: 'CONFLICT' } } });
});

test('a finished run shows its curves, attempts, checkpoints and model', async () => {
  const { runId, modelId } = await finishedRun();
  const run = at(
    await harness().ask(
      token,
      `{ trainingRun(id: "${runId}") { status epoch committedStep totalSteps startedAt finishedAt attempts { number status workerName } checkpoints { epoch step bytes sha256 }
      latestMetrics { name step epoch value kind } model { id variant classes run { id } } } }`,
    ),
    'trainingRun',
  );
  expect(run).toMatchObject({
    status: 'SUCCEEDED',
    epoch: 2,
    committedStep: 100,
    totalSteps: 100,
    startedAt: expect.any(String),
    finishedAt: expect.any(String),
    attempts: [{ number: 1, status: 'SUCCEEDED', workerName: 'w' }],
    checkpoints: [{ epoch: 2, step: 100, bytes: 1234, sha256: 'c'.repeat(64) }],
    latestMetrics: [
      { name: 'train/loss', step: 100, epoch: 2, value: 0.01, kind: 'FINITE' },
      { name: 'val/accuracy', step: 100, epoch: 2, value: 0.75, kind: 'FINITE' },
    ],
    model: { id: modelId, variant: 'B0', classes: ['normal', 'pneumonia'], run: { id: runId } },
  });
  expect(at(await harness().ask(token, '{ models { nodes { id name run { name } } } }'), 'models.nodes.0')).toMatchObject({
    id: modelId,
    name: 'finished',
    run: { name: 'finished' },
  });
});

test('a curve is given whole, or thinned to the last point of each bucket, with its end', async () => {
  const { runId } = await finishedRun();
  const series = async (args: string) =>
    at(await harness().ask(token, `{ metricSeries(runId: "${runId}"${args}) { name step value kind } }`), 'metricSeries') as {
      name: string;
      step: number;
      value: number | null;
      kind: string;
    }[];
  expect(await series('')).toHaveLength(101);
  const loss = await series(', names: ["train/loss"], maxPoints: 100');
  expect(loss.map((point) => point.step)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  expect(loss[49]).toEqual({ name: 'train/loss', step: 50, value: null, kind: 'NAN' });
  expect((await series(', maxPoints: 10')).map((point) => `${point.name} ${point.step}`)).toEqual([
    ...Array.from({ length: 10 }, (_, i) => `train/loss ${(i + 1) * 10}`),
    'val/accuracy 100',
  ]);
  expect((await series(', names: ["train/loss"], maxPoints: 7')).at(-1)?.step).toBe(100);
  expect(await series(', names: ["none"]')).toEqual([]);
  expect(
    at((await harness().raw(token, `{ metricSeries(runId: "${runId}", maxPoints: 0) { step } }`)).body, 'errors.0.extensions'),
  ).toMatchObject({ code: 'INVALID_INPUT', inputErrors: [{ field: 'maxPoints' }] });
});

test('curves that are too many points together are refused with the way out', async () => {
  const { runId } = await finishedRun();
  await harness().database.query(
    'points',
    `insert into metrics (run_id, name, step, value, kind, occurred_at) select $1, 'm' || n, step, 1, 'FINITE', now() from generate_series(1, 11) n, generate_series(1, 10000) step`,
    [uuidOf(runId)],
  );
  const ask = async (maxPoints: number) =>
    (await harness().raw(token, `{ metricSeries(runId: "${runId}", maxPoints: ${maxPoints}) { step } }`)).body;
  expect(at(await ask(10_000), 'errors.0')).toMatchObject({
    message: expect.stringContaining('more than 100000 points at 10000 a name. Ask for fewer names, or for a smaller maxPoints.'),
    extensions: { code: 'INVALID_INPUT' },
  });
  expect(at(await ask(100), 'data.metricSeries')).toHaveLength(11 * 100 + 101);
});

test('pages of runs are disjoint, whole and in order, filtered by state', async () => {
  const own = await harness().makeRun();
  const copy = `insert into training_runs (id, project_id, name, dataset_version_id, recipe, epochs, created_by, created_at)
    select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, project_id, 'r' || n, dataset_version_id, recipe, 1, created_by, '2026-01-01T00:00:00.000001Z'::timestamptz + (n / 4) * interval '1 microsecond'
      from training_runs, generate_series(1, 11) n where id = $1`;
  await harness().database.query('copies', copy, [uuidOf(own.runId)]);
  const query =
    'query ($after: String) { trainingRuns(first: 5, after: $after) { totalCount nodes { name createdAt } edges { cursor node { name } } pageInfo { hasNextPage endCursor } } }';
  const names: unknown[] = [];
  let after: string | null = null;
  for (const expected of [true, true, false]) {
    const page = at(await harness().ask(own, query, { after }), 'trainingRuns');
    names.push(...(at(page, 'nodes') as { name: string }[]).map((run) => run.name));
    expect([at(page, 'totalCount'), at(page, 'pageInfo.hasNextPage')]).toEqual([12, expected]);
    after = textAt(page, 'pageInfo.endCursor');
  }
  expect(names).toEqual(['r', 'r11', 'r10', 'r9', 'r8', 'r7', 'r6', 'r5', 'r4', 'r3', 'r2', 'r1']);
  expect(
    await harness().ask(own, '{ trainingRuns(status: RUNNING) { totalCount nodes { id } pageInfo { hasNextPage endCursor } } }'),
  ).toEqual({
    trainingRuns: { totalCount: 0, nodes: [], pageInfo: { hasNextPage: false, endCursor: null } },
  });
  const refusal = async (args: string) =>
    at((await harness().raw(own, `{ trainingRuns(${args}) { nodes { id } } }`)).body, 'errors.0.message');
  expect(await refusal('first: 501')).toContain('first 501 is not from 1 to 500');
  expect(await refusal('after: "nonsense"')).toContain('is not a cursor');
  expect(await refusal(`after: "${Buffer.from('["o",3]').toString('base64url')}"`)).toContain('is a cursor of another list');
});

test('a list of many runs with their neighbours costs a handful of queries', async () => {
  const query = vi.spyOn(Database.prototype, 'query');
  await harness().ask(
    token,
    '{ trainingRuns { nodes { id datasetVersion { dataset { name } splits { label } } attempts { id } checkpoints { id } latestMetrics { name } model { id } } } }',
  );
  const statements = query.mock.calls.map(([name]) => name);
  query.mockRestore();
  expect(statements.sort()).toEqual(
    [
      'attempts_of_runs',
      'checkpoints_of_runs',
      'datasets_by_ids',
      'find_live_token',
      'latest_metrics',
      'list_runs',
      'models_by_runs',
      'split_counts',
      'versions_by_ids',
    ].sort(),
  );
});
