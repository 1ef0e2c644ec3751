import { describe, expect, test } from 'vitest';
import { newId, type RunStatus } from '@roentgen/domain';
import type { LeasedRun, LiveAttempt } from '@roentgen/database';
import { planRuns, type SchedulingView } from './plan-runs.js';
import type { KnownWorker } from './worker-registry.js';

const NOW = Date.parse('2026-01-01T00:01:00Z');
const LOST_MS = 5_000;
const STALLED_MS = 20_000;

const run = (status: RunStatus, more: Partial<LeasedRun> = {}): LeasedRun => ({
  runId: newId('run'),
  projectId: newId('prj'),
  generation: 1,
  status,
  recipe: {},
  dataset: {
    datasetVersionId: newId('dsv'),
    projectId: newId('prj'),
    manifestKey: 'k',
    manifestSha256: 'a'.repeat(64),
    classes: ['a', 'b'],
  },
  checkpoint: null,
  initialWeights: null,
  trainSamples: null,
  retryInMs: 0,
  avoidWorkers: [],
  wait: null,
  ...more,
});
const worker = (overrides: Partial<KnownWorker> = {}): KnownWorker => ({
  workerId: newId('wkr'),
  name: 'gpu-1',
  state: 'IDLE',
  holding: null,
  waiting: null,
  chunks: [],
  lastSeenMs: NOW - 100,
  progressAtMs: NOW - 100,
  restsUntilMs: 0,
  runtime: null,
  ...overrides,
});
const attemptOf = (owner: LeasedRun, holder: KnownWorker, ageMs: number): LiveAttempt => ({
  attemptId: newId('att'),
  runId: owner.runId,
  number: 1,
  generation: 1,
  token: '00000000-0000-4000-8000-000000000000',
  workerId: holder.workerId,
  workerName: holder.name,
  status: 'RUNNING',
  ageMs,
});
const plan = (view: Partial<SchedulingView>) =>
  planRuns({
    nowMs: NOW,
    listeningSinceMs: NOW - 60_000,
    workerLostMs: LOST_MS,
    stalledMs: STALLED_MS,
    setAside: new Set(),
    drained: new Set(),
    brokerAnswers: true,
    runs: [],
    attempts: [],
    workers: [],
    ...view,
  });
const kinds = (view: Partial<SchedulingView>) => plan(view).map((action) => action.kind);

describe('queued runs', () => {
  test('the oldest gets the idle worker, the next one waits', () => {
    const [first, second] = [run('QUEUED'), run('QUEUED')];
    const actions = plan({ runs: [first, second], workers: [worker()] });
    expect(actions).toMatchObject([
      { kind: 'OFFER', run: { runId: first.runId } },
      { kind: 'EXPLAIN_WAIT', run: { runId: second.runId }, wait: { code: 'WORKERS_BUSY' } },
    ]);
  });

  test('a worker that is busy, stopping or held by an attempt gets nothing', () => {
    const busy = worker();
    const other = run('RUNNING');
    expect(
      kinds({
        runs: [run('QUEUED')],
        workers: [worker({ state: 'TRAINING' }), worker({ state: 'STOPPING' }), worker({ state: 'STARTING' })],
      }),
    ).toEqual(['EXPLAIN_WAIT']);
    expect(kinds({ runs: [run('QUEUED'), other], workers: [busy], attempts: [attemptOf(other, busy, 100)] })).toEqual(['EXPLAIN_WAIT']);
  });

  test('a worker that has just refused an offer is not asked again at once', () => {
    expect(kinds({ runs: [run('QUEUED')], workers: [worker({ restsUntilMs: NOW + 1 })] })).toEqual(['EXPLAIN_WAIT']);
    expect(kinds({ runs: [run('QUEUED')], workers: [worker({ restsUntilMs: NOW })] })).toEqual(['OFFER']);
  });

  test('a run that has to wait before its next try lets others go first', () => {
    const next = run('QUEUED');
    expect(plan({ runs: [run('QUEUED', { retryInMs: 1 }), next], workers: [worker()] })).toMatchObject([{ kind: 'OFFER', run: next }]);
  });

  test('a run goes to a worker that it has not failed on, and to one that it has when there is no other', () => {
    const failed = run('QUEUED', { avoidWorkers: ['a'] });
    const [a, b] = [worker({ name: 'a' }), worker({ name: 'b' })];
    expect(plan({ runs: [failed], workers: [a, b] })).toMatchObject([{ kind: 'OFFER', worker: { name: 'b' } }]);
    expect(plan({ runs: [failed], workers: [a] })).toMatchObject([{ kind: 'OFFER', worker: { name: 'a' } }]);
  });

  test('a worker that is set aside, or drained, gets nothing; the drained one leaves what it has', () => {
    const bad = worker({ name: 'bad' });
    expect(kinds({ runs: [run('QUEUED')], workers: [bad], setAside: new Set(['bad']) })).toEqual(['EXPLAIN_WAIT']);
    expect(kinds({ runs: [run('QUEUED')], workers: [bad], drained: new Set([bad.workerId]) })).toEqual(['EXPLAIN_WAIT']);
    const running = run('RUNNING');
    expect(
      plan({ runs: [running], workers: [bad], attempts: [attemptOf(running, bad, 100)], drained: new Set([bad.workerId]) }),
    ).toMatchObject([{ kind: 'STOP_ATTEMPT', reason: 'DRAIN' }]);
  });
});

describe('runs with an attempt', () => {
  const owner = run('RUNNING');

  test('a worker that is heard and makes no progress loses it; what began late, or could not be heard, gets its time', () => {
    const owner = run('RUNNING');
    const name = worker();
    const attempt = attemptOf(owner, name, 30_000);
    const holding = { runId: owner.runId, attemptId: attempt.attemptId, generation: 1, token: attempt.token };
    const since = (ms: number) => [{ ...name, state: 'TRAINING' as const, holding, progressAtMs: NOW - ms }];
    const lost = { kind: 'LOSE_ATTEMPT', loss: { code: 'WORKER_STALLED', reason: expect.stringContaining('COORDINATOR_STALLED_MS') } };
    expect(plan({ runs: [owner], attempts: [attempt], workers: since(STALLED_MS + 1) })).toMatchObject([lost]);
    expect(plan({ runs: [{ ...owner, status: 'CANCELLING' }], attempts: [attempt], workers: since(STALLED_MS + 1) })).toMatchObject([lost]);
    expect(kinds({ runs: [owner], attempts: [attempt], workers: since(STALLED_MS) })).toEqual([]);
    expect(kinds({ runs: [owner], attempts: [{ ...attempt, ageMs: STALLED_MS }], workers: since(30_000) })).toEqual([]);
    expect(kinds({ runs: [owner], attempts: [attempt], workers: since(30_000), listeningSinceMs: NOW - STALLED_MS })).toEqual([]);
  });

  test('a silent worker loses it, a talking one keeps it', () => {
    const holder = worker();
    const attempt = attemptOf(owner, holder, 30_000);
    const holding = { runId: owner.runId, attemptId: attempt.attemptId, generation: 1, token: attempt.token };
    expect(kinds({ runs: [owner], attempts: [attempt], workers: [] })).toEqual(['LOSE_ATTEMPT']);
    expect(kinds({ runs: [owner], attempts: [attempt], workers: [{ ...holder, state: 'TRAINING', holding }] })).toEqual([]);
  });

  test('what its worker says that it waits for is told once, and that it goes on; what a worker says of something else is not', () => {
    const holder = worker({ state: 'TRAINING' });
    const attempt = attemptOf(owner, holder, 30_000);
    const holding = { runId: owner.runId, attemptId: attempt.attemptId, generation: 1, token: attempt.token };
    const waiting = { code: 'STORE_FULL', message: 'There is no room.' } as const;
    const wait = { ...waiting, workers: [] };
    const waits = { ...holder, holding, waiting };
    const view = { attempts: [attempt], workers: [waits] };
    expect(plan({ ...view, runs: [owner] })).toEqual([{ kind: 'EXPLAIN_WAIT', run: owner, wait }]);
    const told = { ...owner, wait };
    expect(kinds({ ...view, runs: [told] })).toEqual([]);
    expect(plan({ ...view, runs: [told], workers: [{ ...waits, waiting: null }] })).toEqual([
      { kind: 'EXPLAIN_WAIT', run: told, wait: null },
    ]);
    expect(kinds({ ...view, runs: [owner], workers: [{ ...waits, holding: null, lastSeenMs: NOW - 29_900 }] })).toEqual([]);
  });

  test('a coordinator that has only just begun to listen calls nobody lost', () => {
    const attempt = attemptOf(owner, worker(), 30_000);
    expect(kinds({ runs: [owner], attempts: [attempt], listeningSinceMs: NOW - LOST_MS + 1 })).toEqual([]);
  });

  test('a restarted worker, alive but without the attempt, has lost it; right after the offer it has not', () => {
    const holder = worker();
    expect(kinds({ runs: [owner], attempts: [attemptOf(owner, holder, 30_000)], workers: [holder] })).toEqual(['LOSE_ATTEMPT']);
    expect(kinds({ runs: [owner], attempts: [attemptOf(owner, holder, 1_000)], workers: [holder] })).toEqual([]);
  });
});

describe('workers that hold what is not theirs any more', () => {
  const owner = run('RUNNING');
  const holding = { runId: owner.runId, attemptId: newId('att'), generation: 1, token: '00000000-0000-4000-8000-000000000001' };
  const former = worker({ name: 'former', state: 'TRAINING', holding });

  test('are told to stop, with their own token', () => {
    const holder = worker();
    const attempt = attemptOf(owner, holder, 1_000);
    const actions = plan({ runs: [owner], attempts: [attempt], workers: [former, holder] });
    expect(actions).toEqual([{ kind: 'STOP_ATTEMPT', workerId: former.workerId, attempt: holding, reason: 'SUPERSEDED' }]);
  });

  test('are left alone where another coordinator may have given it to them, or owns the run', () => {
    const later = { ...former, holding: { ...holding, generation: 2 } };
    expect(kinds({ runs: [{ ...owner, status: 'QUEUED' }], workers: [later] })).toEqual(['EXPLAIN_WAIT']);
    expect(kinds({ workers: [former] })).toEqual([]);
  });
});

describe('cancelling', () => {
  test('asks the worker to stop while there is one, and ends the run when there is none', () => {
    const cancelled = run('CANCELLING');
    const holder = worker();
    const attempt = attemptOf(cancelled, holder, 1_000);
    expect(kinds({ runs: [cancelled], attempts: [attempt], workers: [holder] })).toEqual(['STOP_ATTEMPT']);
    expect(kinds({ runs: [cancelled] })).toEqual(['SETTLE']);
  });
});

test('a run that is being paused has its worker asked to leave', () => {
  const paused = run('PAUSING');
  const holder = worker();
  expect(plan({ runs: [paused], attempts: [attemptOf(paused, holder, 1_000)], workers: [holder] })).toMatchObject([
    { kind: 'STOP_ATTEMPT', reason: 'PAUSE' },
  ]);
});

test('a running run without an attempt is settled', () => {
  expect(kinds({ runs: [run('RUNNING'), run('PREPARING')] })).toEqual(['SETTLE', 'SETTLE']);
});

describe('workers that differ', () => {
  const GIB = 2 ** 30;
  const runtime = (gib: number | null, ineligibleReason: string | null = null) => ({
    ...{ memoryBudgetBytes: gib === null ? null : gib * GIB, memoryScale: 1, intraOpThreads: 0, interOpThreads: 0 },
    ...{ xla: false, deterministicOps: false, ineligibleReason },
  });
  const queued = (recipe: Record<string, unknown>, trainSamples = 1_000) => ({ ...run('QUEUED'), recipe, trainSamples });

  test('one whose self-test failed gets no run', () => {
    expect(kinds({ runs: [run('QUEUED')], workers: [worker({ runtime: runtime(8, 'its self-test failed') })] })).toEqual(['EXPLAIN_WAIT']);
  });

  test('a run without a micro-batch gets the one that fits all who may train it, the busy ones too', () => {
    const [small, large] = [worker({ runtime: runtime(6), state: 'TRAINING' }), worker({ runtime: runtime(60) })];
    const recipe = { variant: 'B3', globalBatchSize: 64 };
    expect(plan({ runs: [queued(recipe)], workers: [large] })).toMatchObject([{ kind: 'OFFER', microBatchSize: 64 }]);
    expect(plan({ runs: [queued(recipe)], workers: [small, large] })).toMatchObject([{ kind: 'OFFER', worker: large, microBatchSize: 8 }]);
    expect(plan({ runs: [queued(recipe, 5)], workers: [large] })).toMatchObject([{ kind: 'OFFER', microBatchSize: 4 }]);
  });

  test('one that is settled goes to a worker that it fits into, and is not settled again', () => {
    const [small, large] = [worker({ name: 'a', runtime: runtime(2) }), worker({ name: 'b', runtime: runtime(60) })];
    const settled = queued({ variant: 'B3', globalBatchSize: 64, microBatchSize: 64 });
    expect(plan({ runs: [settled], workers: [small, large] })).toMatchObject([{ kind: 'OFFER', worker: large, microBatchSize: null }]);
    expect(plan({ runs: [settled], workers: [small, { ...large, state: 'TRAINING' }] })).toMatchObject([{ kind: 'EXPLAIN_WAIT' }]);
    // The user wanted it so, and there is no better place.
    expect(plan({ runs: [settled], workers: [small] })).toMatchObject([{ kind: 'OFFER', worker: small }]);
  });

  test('a run that fits nowhere waits and says why; those behind it go on', () => {
    const [large, small] = [queued({ variant: 'B7' }), queued({ variant: 'B0' })];
    expect(plan({ runs: [large, small], workers: [worker({ runtime: runtime(4) })] })).toMatchObject([
      {
        kind: 'EXPLAIN_WAIT',
        run: large,
        wait: { code: 'NO_WORKER_FITS', message: expect.stringMatching(/B7 at 600 px needs/) as string },
      },
      { kind: 'OFFER', run: small },
    ]);
  });
});

describe('why a queued run waits', () => {
  const GIB = 2 ** 30;
  const runtime = (gib: number, ineligibleReason: string | null = null) => ({
    ...{ memoryBudgetBytes: gib * GIB, memoryScale: 1, intraOpThreads: 0, interOpThreads: 0, xla: false, deterministicOps: false },
    ineligibleReason,
  });
  const waitOf = (view: Partial<SchedulingView>) => {
    const [action] = plan({ runs: [run('QUEUED')], ...view });
    return action?.kind === 'EXPLAIN_WAIT' ? action.wait : null;
  };

  test('nobody is there, or nobody can be heard', () => {
    expect(waitOf({})).toMatchObject({ code: 'NO_WORKERS', workers: [] });
    expect(waitOf({ brokerAnswers: false })).toMatchObject({ code: 'BROKER_AWAY', message: expect.stringContaining('broker') as string });
  });

  test('each worker’s own reason', () => {
    const drained = worker({ name: 'drained' });
    const wait = waitOf({
      workers: [
        worker({ name: 'new', state: 'STARTING' }),
        worker({ name: 'leaving', state: 'STOPPING' }),
        worker({ name: 'ill', runtime: runtime(8, 'its self-test failed (parity).') }),
        worker({ name: 'aside' }),
        worker({ name: 'unwilling', restsUntilMs: NOW + 1 }),
        drained,
      ],
      setAside: new Set(['aside']),
      drained: new Set([drained.workerId]),
    });
    expect(wait?.workers.map(({ name, code }) => [name, code])).toEqual([
      ['new', 'STARTING'],
      ['leaving', 'STOPPING'],
      ['ill', 'INELIGIBLE'],
      ['aside', 'SET_ASIDE'],
      ['unwilling', 'REFUSED'],
      ['drained', 'DRAINED'],
    ]);
    expect(wait?.code).toBe('NO_ELIGIBLE_WORKER');
    expect(wait?.message).toMatch(
      /^No worker can be given it: new is starting; .*ill takes no work: its self-test failed \(parity\); .*drained was drained/,
    );
  });

  test('those that could take it are busy: one that trains, one that predicts, one that was given an older run a moment ago', () => {
    const [a, b, c] = [worker({ name: 'a', state: 'TRAINING' }), worker({ name: 'b', state: 'PREDICTING' }), worker({ name: 'c' })];
    const actions = plan({ runs: [run('QUEUED'), run('QUEUED')], workers: [a, b, c] });
    expect(actions).toMatchObject([
      { kind: 'OFFER', worker: c },
      {
        kind: 'EXPLAIN_WAIT',
        wait: { code: 'WORKERS_BUSY', workers: [{ code: 'BUSY' }, { code: 'BUSY' }, { name: 'c', code: 'TAKEN' }] },
      },
    ]);
  });

  test('too little memory: what it needs, and what each worker has', () => {
    const settled = { ...run('QUEUED'), recipe: { variant: 'B3', globalBatchSize: 64, microBatchSize: 64 } };
    const [small, large] = [
      worker({ name: 'small', runtime: runtime(2) }),
      worker({ name: 'large', runtime: runtime(60), state: 'TRAINING' }),
    ];
    expect(waitOf({ runs: [settled], workers: [small, large] })).toMatchObject({
      code: 'WORKERS_BUSY',
      workers: [
        {
          name: 'small',
          code: 'TOO_SMALL',
          message: expect.stringMatching(/^may use 2\.0 GiB, and micro-batches of 64 need \d/) as string,
        },
        { name: 'large', code: 'BUSY' },
      ],
    });
    const nowhere = { ...run('QUEUED'), recipe: { variant: 'B7' } };
    expect(waitOf({ runs: [nowhere], workers: [small] })).toMatchObject({
      code: 'NO_WORKER_FITS',
      workers: [{ name: 'small', code: 'TOO_SMALL' }],
    });
  });

  test('what was told already is not told again', () => {
    const busy = worker({ state: 'TRAINING' });
    const wait = waitOf({ workers: [busy] });
    expect(wait).not.toBeNull();
    expect(kinds({ runs: [run('QUEUED', { wait })], workers: [busy] })).toEqual([]);
    expect(kinds({ runs: [run('QUEUED', { wait })], workers: [{ ...busy, name: 'renamed' }] })).toEqual(['EXPLAIN_WAIT']);
  });

  test('of many workers the first are named, and the others counted', () => {
    const wait = waitOf({ workers: Array.from({ length: 23 }, (_, i) => worker({ name: `w${i}`, state: 'TRAINING' })) });
    expect(wait?.workers).toHaveLength(20);
    expect(wait?.message).toMatch(/; and 3 more\.$/);
  });
});
