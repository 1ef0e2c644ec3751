import { beforeAll, describe, expect, test } from 'vitest';
import { newId, uuidOf, type RunId } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { finishRun, makeChestDataset, startRun } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;
/** Finished, with one checkpoint at step 100 of epoch 2. */
let parent: RunId;
let checkpointId: string;

const FORK = `mutation ($input: ForkTrainingRunInput!) { forkTrainingRun(input: $input) { ok error { code message inputErrors { field message } }
  run { id name status epoch committedStep headSequence recipe { learningRate clipNorm epochs seed } datasetVersion { id }
        forkedFrom { runId epoch step run { name } checkpoint { id step } } } } }`;

async function fork(input: object, as = token): Promise<unknown> {
  return at(await harness().ask(as, FORK, { input }), 'forkTrainingRun');
}

beforeAll(async () => {
  token = await harness().makeToken('trainer');
  versionId = await makeChestDataset(harness(), token);
  parent = (await finishRun(harness(), token, versionId)).runId;
  const found = await harness().ask(token, `{ trainingRun(id: "${parent}") { checkpoints { id } } }`);
  checkpointId = textAt(found, 'trainingRun.checkpoints.0.id');
});

test('a fork starts where the checkpoint is, with the recipe of its run and what was changed of it', async () => {
  const made = await fork({ checkpointId, overrides: { epochs: 200, learningRate: 0.5, clipNorm: 3 } });
  expect(made).toMatchObject({
    ok: true,
    run: {
      ...{
        name: 'finished from step 100',
        status: 'QUEUED',
        epoch: 2,
        committedStep: 100,
        headSequence: 1,
        datasetVersion: { id: versionId },
      },
      recipe: { learningRate: 0.5, clipNorm: 3, epochs: 200, seed: 0 },
      forkedFrom: { runId: parent, epoch: 2, step: 100, run: { name: 'finished' }, checkpoint: { id: checkpointId, step: 100 } },
    },
  });
  const again = await fork({ runId: textAt(made, 'run.id'), overrides: { clipNorm: null } });
  expect(again, 'a fork that has no checkpoint of its own yet is forked where it starts itself').toMatchObject({
    run: { recipe: { learningRate: 0.5, clipNorm: null }, forkedFrom: { runId: textAt(made, 'run.id'), checkpoint: { id: checkpointId } } },
  });
  const lineage = await harness().ask(
    token,
    `{ trainingRun(id: "${parent}") { forkedFrom { step } forks { id } } trainingRunEvents(runId: "${textAt(made, 'run.id')}") { kind message } }`,
  );
  expect(lineage).toMatchObject({
    trainingRun: { forkedFrom: null, forks: [{ id: textAt(made, 'run.id') }] },
    trainingRunEvents: [{ kind: 'RUN_QUEUED', message: `goes on from ${checkpointId} of ${parent} (epoch 2, step 100)` }],
  });
});

test('the best checkpoint is the one with the lowest validation loss', async () => {
  const { runId } = await finishRun(harness(), token, versionId);
  expect(await fork({ runId, checkpoint: 'BEST', overrides: { epochs: 200 } })).toMatchObject({
    ok: false,
    error: { code: 'CONFLICT', message: expect.stringMatching(/no checkpoint with a validation loss.*Use LAST/) },
  });
  const better = newId('ckp');
  await harness().database.query(
    'seed',
    `insert into checkpoints (id, project_id, run_id, attempt_id, epoch, step, object_key, sha256, bytes)
     select $1, project_id, run_id, attempt_id, 1, 50, 'k50', sha256, bytes from checkpoints where run_id = $2`,
    [uuidOf(better), uuidOf(runId)],
  );
  await harness().database.query(
    'seed',
    `insert into metrics (run_id, name, step, epoch, value, kind, occurred_at)
     values ($1, 'val/loss', 50, 1, 0.3, 'FINITE', now()), ($1, 'val/loss', 75, 2, 0.1, 'FINITE', now()), ($1, 'val/loss', 100, 2, 0.4, 'FINITE', now())`,
    [uuidOf(runId)],
  );
  expect(await fork({ runId, checkpoint: 'BEST', overrides: { epochs: 200 } })).toMatchObject({
    run: { forkedFrom: { checkpoint: { id: better, step: 50 } } },
  });
  expect(await fork({ runId, overrides: { epochs: 200 } })).toMatchObject({ run: { forkedFrom: { step: 100 } } });
});

describe('a fork is refused', () => {
  const cases: [string, () => object | Promise<object>, string, RegExp][] = [
    ['without a place to start', () => ({}), 'INVALID_INPUT', /give checkpointId or runId/],
    ['with two', () => ({ checkpointId, runId: parent }), 'INVALID_INPUT', /not both/],
    ['with a choice among one', () => ({ checkpointId, checkpoint: 'BEST' }), 'INVALID_INPUT', /leave it out/],
    ['from a checkpoint that nobody knows', () => ({ checkpointId: newId('ckp') }), 'NOT_FOUND', /no checkpoint ckp_/],
    ['from a run that nobody knows', () => ({ runId: newId('run') }), 'NOT_FOUND', /no training run/],
    [
      'from a run without a checkpoint',
      async () => ({ runId: await startRun(harness(), token, versionId) }),
      'CONFLICT',
      /QUEUED\) has no checkpoint yet/,
    ],
    ['with nothing left to train', () => ({ checkpointId }), 'INVALID_RECIPE', /overrides\.epochs: .*nothing is left/],
    [
      'with another network',
      () => ({ checkpointId, overrides: { epochs: 200, variant: 'b3' } }),
      'INVALID_RECIPE',
      /B3 cannot go on with the weights of B0/,
    ],
    [
      'with another optimiser',
      () => ({ checkpointId, overrides: { epochs: 200, optimizer: { kind: 'SGD' } } }),
      'INVALID_RECIPE',
      /sgd cannot go on/,
    ],
    [
      'with a broken rule',
      () => ({ checkpointId, overrides: { epochs: 200, dropoutRate: 2 } }),
      'INVALID_RECIPE',
      /overrides\.dropoutRate/,
    ],
    [
      'with a name that is too long',
      () => ({ checkpointId, overrides: { epochs: 200 }, name: 'x'.repeat(201) }),
      'INVALID_INPUT',
      /201 characters/,
    ],
  ];
  test.each(cases)('%s', async (_what, input, code, message) => {
    expect(await fork(await input())).toMatchObject({ ok: false, run: null, error: { code, message: expect.stringMatching(message) } });
  });

  test('from another project, and by an analyst', async () => {
    const stranger = await harness().makeToken('trainer');
    for (const input of [{ checkpointId }, { runId: parent }])
      expect(await fork({ ...input, overrides: { epochs: 200 } }, stranger)).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
    const analyst = await harness().makeToken('analyst', { projectId: token.projectId });
    const { body } = await harness().raw(analyst, FORK, { input: { checkpointId } });
    expect(JSON.stringify(body)).toContain('FORBIDDEN');
  });
});

test('the same key makes one fork; taking something away is another request than leaving it', async () => {
  const input = { checkpointId, idempotencyKey: 'fork-once', overrides: { epochs: 200, clipNorm: null } };
  const first = await fork(input);
  expect(await fork(input)).toEqual(first);
  expect(await fork({ ...input, overrides: { epochs: 200 } })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
});

test('a checkpoint cannot be removed before each fork of it has one of its own, or has ended and is gone', async () => {
  const { runId } = await finishRun(harness(), token, versionId);
  const made = await fork({ runId, overrides: { epochs: 200 } });
  const [source, child] = [textAt(made, 'run.forkedFrom.checkpoint.id'), textAt(made, 'run.id')];
  const { database } = harness();
  const uuid = (id: string) => uuidOf(`x_${id.slice(4)}`);
  // The parent itself lets go of it, as retention does before it removes a checkpoint.
  await database.query('seed', 'delete from models where run_id = $1', [uuidOf(runId)]);
  await database.query('seed', 'update training_runs set checkpoint_id = null where id = $1', [uuidOf(runId)]);
  const remove = () => database.query('remove', 'delete from checkpoints where id = $1', [uuid(source)]);
  await expect(remove()).rejects.toThrow();

  const own = newId('ckp');
  await database.query(
    'seed',
    `insert into checkpoints (id, project_id, run_id, attempt_id, epoch, step, object_key, sha256, bytes)
     select $1, project_id, $2, attempt_id, 3, 150, 'k150', sha256, bytes from checkpoints where id = $3`,
    [uuidOf(own), uuid(child), uuid(source)],
  );
  await database.query('seed', 'update training_runs set checkpoint_id = $1 where id = $2', [uuidOf(own), uuid(child)]);
  await remove();
  const left = await harness().ask(
    token,
    `{ trainingRun(id: "${child}") { forkedFrom { runId epoch step checkpointId checkpoint { id } } } }`,
  );
  expect(at(left, 'trainingRun.forkedFrom'), 'where it came from stays known').toEqual({
    runId,
    epoch: 2,
    step: 100,
    checkpointId: null,
    checkpoint: null,
  });
});
