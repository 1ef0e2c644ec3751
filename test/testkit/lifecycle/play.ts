import type { RunBook } from '@roentgen/coordinator';
import type { Clock, RunId } from '@roentgen/domain';
import type { Fault } from './faults.js';
import { violations } from './invariants.js';
import { MemoryRunBook } from './memory-run-book.js';
import { Simulation } from './simulation.js';
import { WatchedRunBook } from './watched-run-book.js';

interface PlayOptions {
  /** Ids of the runs, where they are to be those of others. */
  readonly runIds?: readonly RunId[];
  /** What stands between the simulation and its runs. */
  readonly through?: (book: MemoryRunBook, clock: Clock) => RunBook;
}

/** Plays a schedule on runs in memory; what does not hold after it. The seed decides what the schedule leaves to chance. */
export async function play(schedule: readonly Fault[], seed: number, { runIds = [], through }: PlayOptions = {}): Promise<string[]> {
  const clock: Clock = { now: () => new Date(simulation.nowMs) };
  const book = new MemoryRunBook(clock, { maxAttempts: 3 });
  const watched = new WatchedRunBook(through?.(book, clock) ?? book, clock);
  const ids = [...runIds];
  const simulation: Simulation = new Simulation(
    {
      book: watched,
      addRun: () => Promise.resolve(book.addRun(ids.shift())),
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
