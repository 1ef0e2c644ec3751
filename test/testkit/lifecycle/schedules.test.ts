import { expect, test } from 'vitest';
import type { Clock } from '@roentgen/domain';
import { scheduleOf, shrink, type Fault } from './faults.js';
import { violations } from './invariants.js';
import { MemoryRunBook } from './memory-run-book.js';
import { Simulation } from './simulation.js';
import { WatchedRunBook } from './watched-run-book.js';

const SEEDS = 500;

/** What does not hold after this schedule. */
async function play(schedule: readonly Fault[], seed: number): Promise<string[]> {
  const clock: Clock = { now: () => new Date(simulation.nowMs) };
  const book = new MemoryRunBook(clock, { maxAttempts: 3 });
  const watched = new WatchedRunBook(book, clock);
  const simulation: Simulation = new Simulation(
    {
      book: watched,
      addRun: () => Promise.resolve(book.addRun()),
      status: (runId) => Promise.resolve(book.runs.get(runId)?.status ?? 'FAILED'),
    },
    schedule,
    seed,
  );
  watched.witness = { isHeld: (attemptId) => simulation.workers.some((worker) => worker.holds(attemptId)) };
  await simulation.run();
  const confirmed = simulation.workers.flatMap((worker) => worker.confirmed);
  const ended = [...book.runs.values()].flatMap(({ runId, status, events, models, attempts }) => {
    const own = <T extends { runId: string }>(all: readonly T[]) => all.filter((one) => one.runId === runId);
    const run = {
      status,
      events,
      confirmed: own(confirmed).map((c) => c.eventId),
      refused: attempts.filter((row) => row.ended?.status === 'REFUSED').map((row) => row.attempt.attemptId),
      lostWhileHeld: own(watched.lostWhileHeld).map(({ reason }) => reason),
    };
    return [
      ...violations(run, schedule),
      ...(models === (status === 'SUCCEEDED' ? 1 : 0) ? [] : [`${models} models of a run that is ${status}`]),
      ...attempts.filter((row) => row.ended === null).map((row) => `attempt ${row.attempt.number} is alive in a run that is ${status}`),
    ];
  });
  return [...watched.violations, ...ended];
}

test.each(Array.from({ length: 10 }, (_, i) => i))(
  'whatever goes wrong, no event is lost or comes twice, one attempt lives, and every run ends (part %d)',
  async (part) => {
    for (let seed = part; seed < SEEDS; seed += 10) {
      const schedule = scheduleOf(seed);
      const found = await play(schedule, seed);
      if (found.length === 0) continue;
      const smallest = await shrink(schedule, async (candidate) => (await play(candidate, seed)).length > 0);
      const lines = smallest.map((fault) => `  ${JSON.stringify(fault)}`);
      expect.fail(`seed ${seed}: ${(await play(smallest, seed)).join('; ')}\nwith the schedule\n${lines.join('\n')}`);
    }
  },
  120_000,
);

test('a failing schedule is reduced to what makes it fail', async () => {
  const schedule = scheduleOf(4);
  const guilty = schedule.at(-1);
  expect(await shrink(schedule, (candidate) => Promise.resolve(candidate.some((fault) => fault === guilty)))).toEqual([guilty]);
});
