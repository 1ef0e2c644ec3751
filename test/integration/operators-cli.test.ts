import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { REPOSITORY_ROOT } from '@roentgen/cli';
import type { RunId } from '@roentgen/domain';
import { Backstage } from '../testkit/backstage.js';
import { runCli, type CliRun } from '../testkit/run-cli.js';
import type { ScriptedWorker } from '../testkit/scripted-worker.js';
import { checkpointAt, eventually } from './coordinator-harness.js';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';
import { finishRun, makeChestDataset, startRun } from './gateway-scenes.js';

const harness = useGateway();
let token: TestToken;
let versionId: string;
let backstage: Backstage;

beforeAll(async () => {
  token = await harness().makeToken('admin');
  versionId = await makeChestDataset(harness(), token);
  backstage = new Backstage(inject('stack'), harness().config);
});
afterAll(() => backstage.close());

const environment = () => ({ ROENTGEN_URL: harness().url, ROENTGEN_TOKEN: token.token });
const shell = (...args: string[]): Promise<CliRun> => runCli(args, environment());
const json = async (...args: string[]): Promise<unknown> => {
  const { exitCode, stdout, stderr } = await shell(...args, '--json');
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
};
const newRun = (): Promise<RunId> => startRun(harness(), token, versionId);

describe('a run that nobody works on', () => {
  test('is paused, resumed and cancelled, each as often as one likes', async () => {
    const runId = await newRun();
    for (const [verb, status] of [
      ['pause', 'PAUSED'],
      ['resume', 'QUEUED'],
      ['cancel', 'CANCELLED'],
    ] as const)
      for (let again = 0; again < 2; again++) expect(await json('runs', verb, runId)).toEqual({ run: runId, status });
    expect(await shell('runs', 'pause', runId)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('nothing left to pause') });
    expect(await shell('runs', 'resume', runId)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Fork it from one of its checkpoints'),
    });
    expect(await shell('cancel', runId), 'the short form').toMatchObject({ exitCode: 0, stdout: `${runId} is CANCELLED\n` });
    expect(await shell('runs', 'pause', 'run_x')).toMatchObject({ exitCode: 2, stdout: '' });
    expect(await shell('runs', 'stop', runId)).toMatchObject({ exitCode: 2 });
  });

  test('says why it waits, in the list and alone', async () => {
    const runId = await newRun();
    expect((await shell('runs')).stdout).toMatch(new RegExp(`${runId} +QUEUED \\(NO_COORDINATOR\\)`));
    expect((await shell('runs', 'show', runId)).stdout).toMatch(/why it waits +NO_COORDINATOR: No coordinator has taken it/);
    expect(await json('runs', 'show', runId)).toMatchObject({
      run: { id: runId, whyWaiting: { code: 'NO_COORDINATOR', workers: [] }, checkpoints: [] },
    });
    await shell('runs', 'cancel', runId);
  });

  test('is forked by its id or by that of a checkpoint, with flags for what changes', async () => {
    const { runId } = await finishRun(harness(), token, versionId);
    const details = await json('runs', 'show', runId);
    const checkpointId = textAt(details, 'run.checkpoints.0.id');
    const made = await json(
      'runs',
      'fork',
      runId,
      '--epochs',
      '200',
      '--learning-rate',
      '0.25',
      '--clip-norm',
      '2',
      '--name',
      'other rate',
    );
    expect(made).toMatchObject({ status: 'QUEUED', forkedFrom: { runId, step: 100, checkpointId } });
    const recipe = await harness().ask(
      token,
      `{ trainingRun(id: "${textAt(made, 'run')}") { name recipe { epochs learningRate clipNorm } } }`,
    );
    expect(at(recipe, 'trainingRun')).toEqual({ name: 'other rate', recipe: { epochs: 200, learningRate: 0.25, clipNorm: 2 } });

    const second = await shell('runs', 'fork', textAt(made, 'run'), '--no-clip-norm');
    expect(second.stdout).toMatch(/^run_\w+ is queued, from step 100 of run_\w+; follow it with: roentgen watch/);
    const unlimited = await harness().ask(
      token,
      `{ trainingRun(id: "${second.stdout.slice(0, 36)}") { recipe { clipNorm learningRate } } }`,
    );
    expect(at(unlimited, 'trainingRun.recipe')).toEqual({ clipNorm: null, learningRate: 0.25 });

    expect(await shell('runs', 'fork', checkpointId)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/overrides\.epochs: .*Use at least 101/),
    });
    expect(await shell('runs', 'fork', runId, '--optimizer', 'sgd', '--epochs', '200')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('sgd cannot go on'),
    });
    for (const id of [textAt(made, 'run'), second.stdout.slice(0, 36)]) await shell('runs', 'cancel', id);
  });
});

describe('with a coordinator and workers', () => {
  let worker: ScriptedWorker;
  beforeAll(async () => {
    await backstage.startCoordinator();
    worker = await backstage.startWorker('gpu-1');
  });

  test('runs pause --watch ends when the worker has left, and exits with 4 when the run ended first', async () => {
    for (const ends of ['RUN_PAUSED', 'RUN_SUCCEEDED'] as const) {
      const runId = await newRun();
      const offer = await worker.nextOffer();
      await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
      const paused = shell('runs', 'pause', runId, '--watch');
      await vi.waitFor(() => expect(worker.stops.at(-1)).toMatchObject({ attemptId: offer.attemptId, reason: 'PAUSE' }), eventually);
      await worker.report(offer, worker.fact(offer, 'CHECKPOINT_SAVED', { step: 5, epoch: 1, checkpoint: checkpointAt(5, 1) }));
      await worker.report(offer, worker.fact(offer, ends, { step: 5, epoch: 1 }));
      worker.letGo();
      const { exitCode, stdout, stderr } = await paused;
      if (ends === 'RUN_PAUSED') expect([exitCode, stdout], stderr).toEqual([0, `${runId} is PAUSED\n`]);
      else expect([exitCode, stderr]).toEqual([4, expect.stringContaining('SUCCEEDED before it could be paused')]);
      await shell('runs', 'cancel', runId);
    }
  });

  test('runs cancel --force does not wait for the worker', async () => {
    const runId = await newRun();
    await worker.nextOffer();
    expect(await json('runs', 'cancel', runId, '--force')).toEqual({ run: runId, status: 'CANCELLED' });
    worker.letGo();
  });

  test('workers drain --watch ends when the worker holds nothing; readmit gives it work again', async () => {
    const runId = await newRun();
    const offer = await worker.nextOffer();
    await worker.report(offer, worker.fact(offer, 'RUN_STARTED', { step: 0 }));
    await vi.waitFor(async () => expect((await shell('workers')).stdout).toMatch(new RegExp(`gpu-1 .*TRAINING.*${runId}`)), eventually);
    const drained = json('workers', 'drain', 'gpu-1', '--watch');
    await vi.waitFor(() => expect(worker.stops.at(-1)).toMatchObject({ attemptId: offer.attemptId, reason: 'DRAIN' }), eventually);
    await worker.report(
      offer,
      worker.fact(offer, 'ATTEMPT_FAILED', { failure: { code: 'WORKER_STOPPING', message: 'drained', details: {} } }),
    );
    worker.letGo();
    expect(await drained).toMatchObject({ worker: worker.workerId, name: 'gpu-1', drainedAt: expect.any(String), holds: [] });
    expect(await json('workers', 'drain', worker.workerId), 'again').toMatchObject({ worker: worker.workerId });
    expect((await shell('workers')).stdout).toMatch(/gpu-1 .*It was drained at/);
    await vi.waitFor(
      async () => expect((await shell('runs', 'show', runId)).stdout).toMatch(/NO_ELIGIBLE_WORKER: .*gpu-1 was drained/),
      eventually,
    );
    expect(await json('workers', 'readmit', 'gpu-1')).toMatchObject({ drainedAt: null });
    expect((await worker.nextOffer()).runId).toBe(runId);
    await shell('runs', 'cancel', runId, '--force');
    worker.letGo();
  });

  test('a worker that is meant by a name is the one of it that is there', async () => {
    expect(await shell('workers', 'drain', 'nobody')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('no worker named "nobody"'),
    });
    const twin = await backstage.startWorker('gpu-1');
    await vi.waitFor(async () => {
      const { exitCode, stderr } = await shell('workers', 'drain', 'gpu-1');
      expect([exitCode, stderr.includes(twin.workerId)]).toEqual([2, true]);
    }, eventually);
  });

  test('workers --watch --json gives a snapshot and then a line for each change, until it is interrupted', async () => {
    const args = [join(REPOSITORY_ROOT, 'packages/cli/bin/roentgen.mjs'), 'workers', '--watch', '--json'];
    const child = spawn(process.execPath, args, { env: { ...process.env, ...environment() }, stdio: ['ignore', 'pipe', 'ignore'] });
    const lines: unknown[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
    const exited = once(child, 'exit');
    await vi.waitFor(() => expect(lines[0]).toMatchObject({ snapshot: true, gone: [] }), { timeout: 60_000, interval: 50 });
    const added = await backstage.startWorker('late');
    await vi.waitFor(
      () => expect(lines.at(-1)).toMatchObject({ snapshot: false, workers: [{ id: added.workerId, name: 'late' }] }),
      eventually,
    );
    child.kill('SIGINT');
    expect(await exited).toEqual([130, null]);
  });
});
