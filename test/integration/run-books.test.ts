import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import type { PostgresRunBook } from '@roentgen/coordinator';
import { Database, EventStore, RunLifecycleStore, type LeasedRun, type LiveAttempt } from '@roentgen/database';
import { isTerminal, uuidOf, type RunEvent, type RunId, type RunState, type RunWait } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { RUNS, STORMY_TURNS, scheduleOf, type Fault } from '../testkit/lifecycle/faults.js';
import { ENDED_ATTEMPTS_SEEN, type MemoryRun, type MemoryRunBook } from '../testkit/lifecycle/memory-run-book.js';
import { play } from '../testkit/lifecycle/play.js';
import { RecordingRunBook, carryOut, type RunBookCall } from '../testkit/lifecycle/recording-run-book.js';
import { seedProject, seedRun, type SeededProject } from '../testkit/rows.js';
import { postgresRunBook } from '../testkit/run-book.js';

/**
 * The runs in memory, on which the random schedules of faults are played, and those in Postgres keep one contract: what a schedule asks of the first is
 * asked of the second, at the same time by the clock that both go by, and must get the same answer and leave the same behind. The last three release runs that are owned.
 */
const SEEDS = [...Array.from({ length: 12 }, (_, i) => i * 35), 20, 44, 67];

/** How a run stands, beyond what the machine decides on. */
interface Standing {
  readonly state: RunState | null;
  readonly leaseMs: number | null;
  readonly retryInMs: number;
  readonly events: number;
  readonly models: number;
  readonly microBatchSize: number | null;
  readonly wait: RunWait | null;
}

const { postgres } = inject('stack');
const schema = `t_${randomUUID().replaceAll('-', '')}`;
let database: Database;
let book: PostgresRunBook;
let seeded: SeededProject;
let lifecycle: RunLifecycleStore;
let events: EventStore;

beforeAll(async () => {
  // One connection: the clock is a setting of its session.
  database = await Database.connect({ url: postgres.url, schema, poolSize: 1, startupTimeoutMs: 5_000 }, silentLogger);
  await database.migrate();
  book = postgresRunBook(database, { maxAttempts: 3 });
  seeded = await seedProject(database);
  events = new EventStore(database);
  lifecycle = new RunLifecycleStore(events, 'coordinator');
  await database.query(
    'clock',
    `create function ${schema}.now() returns timestamptz language sql stable as $$ select current_setting('simulation.now')::timestamptz $$`,
  );
  // Defaults were bound to the clock of Postgres when the tables were made.
  await database.query('clock', `alter table attempts alter column started_at set default ${schema}.now()`);
  await database.query('clock', `alter table run_events alter column recorded_at set default ${schema}.now()`);
});
afterEach(async () => {
  // A run that a failing test leaves open would be claimed in the next one.
  await database.query('seed', `update training_runs set status = 'CANCELLED', finished_at = now() where finished_at is null`);
});
afterAll(() => database.close());

/** From here on `now()` of every statement is this. */
async function setClock(nowMs: number): Promise<void> {
  await database.query('set_clock', `select set_config('search_path', $1, false), set_config('simulation.now', $2, false)`, [
    `${schema}, pg_catalog`,
    new Date(nowMs).toISOString(),
  ]);
}

function standingInMemory(memory: MemoryRunBook, run: MemoryRun, nowMs: number): Standing {
  const { runId, owner, leaseUntilMs, retryAtMs, models, microBatchSize, wait } = run;
  return {
    state: memory.load(runId),
    leaseMs: owner === null ? null : leaseUntilMs - nowMs,
    retryInMs: Math.max(0, retryAtMs - nowMs),
    events: run.events.length,
    models,
    microBatchSize,
    wait,
  };
}

async function standingInPostgres(runId: RunId): Promise<Standing> {
  return await database.transaction('look', async (tx) => {
    const state = await lifecycle.load(tx, runId);
    const [row] = await tx.query(
      'standing',
      `select (extract(epoch from lease_until - now()) * 1000)::int as "leaseMs",
              greatest(0, coalesce(extract(epoch from retry_at - now()) * 1000, 0))::int as "retryInMs",
              head_sequence as events, (select count(*) from models m where m.run_id = r.id) as models,
              (recipe ->> 'microBatchSize')::int as "microBatchSize", wait
         from training_runs r where id = $1`,
      [uuidOf(runId)],
    );
    return { state, ...(row as Omit<Standing, 'state'>) };
  });
}

/** Ids and times that a book makes up by itself are not part of the contract. */
function eventOf({ eventId, occurredAt, ...rest }: RunEvent): object {
  return eventId.startsWith('coordinator/') ? rest : { eventId, occurredAt, ...rest };
}

function leasedOf({ runId, status, generation, recipe, checkpoint, retryInMs, avoidWorkers, wait }: LeasedRun): object {
  const goesOnFrom = checkpoint && { objectKey: checkpoint.objectKey, bytes: checkpoint.bytes };
  return { runId, status, generation, microBatchSize: recipe['microBatchSize'], goesOnFrom, retryInMs, avoidWorkers, wait };
}

function liveOf({ attemptId, runId, status, ageMs, number, generation, token, workerId }: LiveAttempt) {
  return { attemptId, runId, status, ageMs, number, generation, token, workerId };
}

/** The part of an answer that both books must agree on. */
function answerOf(call: RunBookCall, answer: unknown): unknown {
  switch (call.method) {
    case 'claimOpen':
      return [...(answer as Awaited<ReturnType<PostgresRunBook['claimOpen']>>)].sort();
    case 'renew':
      return (answer as LeasedRun[]).map(leasedOf);
    case 'liveAttempts':
      return (answer as LiveAttempt[]).map(liveOf).sort((a, b) => (a.attemptId < b.attemptId ? -1 : 1));
    case 'apply':
    case 'report': {
      const outcome = answer as Awaited<ReturnType<PostgresRunBook['apply']>>;
      return { decision: outcome.decision, events: outcome.events.map(eventOf) };
    }
    default:
      return answer;
  }
}

/** The runs whose rows a call may have changed. */
function changedBy({ method, args }: RunBookCall, answer: unknown): RunId[] {
  if (method === 'claimOpen') return answer as RunId[];
  if (method === 'apply' || method === 'explainWait') return [args[0]];
  return method === 'report' ? [args[0].runId] : [];
}

/** Plays the schedule on runs in memory, then asks those in Postgres the same; gives the former. */
async function compare(schedule: readonly Fault[], seed: number): Promise<MemoryRun[]> {
  const runIds: RunId[] = [];
  for (let i = 0; i < RUNS; i++) runIds.push(await seedRun(database, seeded, { variant: 'B0', microBatchSize: null }));
  const recordings: RecordingRunBook<ReadonlyMap<RunId, Standing>>[] = [];
  let memory: MemoryRunBook | undefined;
  expect(
    await play(schedule, seed, {
      runIds,
      through: (inMemory, clock) => {
        memory = inMemory;
        const look = () =>
          new Map([...inMemory.runs.values()].map((run) => [run.runId, standingInMemory(inMemory, run, clock.now().getTime())]));
        const recording = new RecordingRunBook(inMemory, clock, look);
        recordings.push(recording);
        return recording;
      },
    }),
  ).toEqual([]);
  const calls = recordings.flatMap((recording) => recording.calls);
  expect(calls.length).toBeGreaterThan(100);
  let clockMs = 0;
  for (const [i, { nowMs, call, answer, standing }] of calls.entries()) {
    if (nowMs !== clockMs) await setClock(nowMs);
    clockMs = nowMs;
    const inPostgres = await carryOut(book, call);
    const where = `call ${i} of ${calls.length}, ${JSON.stringify(call)}`;
    expect(answerOf(call, inPostgres), where).toEqual(answerOf(call, answer));
    for (const runId of changedBy(call, answer)) expect(await standingInPostgres(runId), where).toEqual(standing.get(runId));
  }
  const runs = [...(memory?.runs.values() ?? [])];
  for (const run of runs) {
    expect(isTerminal(run.status)).toBe(true);
    expect((await events.readAfter(run.runId, 0, 10_000)).map(eventOf)).toEqual(run.events.map(eventOf));
  }
  return runs;
}

test.each(SEEDS)('runs in Postgres answer and stand as those in memory do, whatever goes wrong (seed %d)', async (seed) => {
  expect(await compare(scheduleOf(seed), seed)).toHaveLength(RUNS);
});

test('so do runs with more attempts than are looked at', async () => {
  const leaves = (at: number, which: number): Fault => ({ at, kind: 'attempt-fails', which, code: 'WORKER_STOPPING' });
  const schedule = Array.from({ length: STORMY_TURNS - 1 }, (_, i) => [leaves(i + 1, 0), leaves(i + 1, 1), leaves(i + 1, 2)]).flat();
  const attempts = (await compare(schedule, 1)).map((run) => run.attempts.length);
  expect(Math.min(...attempts)).toBeGreaterThan(ENDED_ATTEMPTS_SEEN + 2);
});
