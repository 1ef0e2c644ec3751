import { randomNumbers } from '../seed.js';

export const WORKERS = 3;
export const COORDINATORS = 2;
export const RUNS = 2;

/** One thing that goes wrong, or that a user does, at a turn of the simulation. `turns`: how long it lasts. */
export type Fault =
  | { readonly at: number; readonly kind: 'kill-worker' | 'freeze-worker'; readonly which: number; readonly turns: number }
  | { readonly at: number; readonly kind: 'drain-worker'; readonly which: number; readonly turns: number }
  | {
      readonly at: number;
      /** `stop-coordinator`: SIGTERM; it ends its look, lets go of its runs and comes back as another process. */
      readonly kind: 'kill-coordinator' | 'freeze-coordinator' | 'stop-coordinator';
      readonly which: number;
      readonly turns: number;
    }
  /** `late-writes`: who decides hears that the database does not answer; what he wrote reaches it later. */
  | {
      readonly at: number;
      readonly kind: 'broker-away' | 'broker-hangs' | 'database-away' | 'answers-lost' | 'late-writes';
      readonly turns: number;
    }
  | { readonly at: number; readonly kind: 'attempt-fails'; readonly which: number; readonly code: string }
  | { readonly at: number; readonly kind: 'cancel' | 'pause' | 'force-pause' | 'force-cancel' | 'resume'; readonly which: number };

export type FaultKind = Fault['kind'];

/** Faults that no run may notice but by the time that it takes. */
export const HARMLESS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'drain-worker',
  'kill-coordinator',
  'freeze-coordinator',
  'stop-coordinator',
  'broker-away',
  'broker-hangs',
  'database-away',
  'answers-lost',
  'pause',
  'force-pause',
  'resume',
]);

const KINDS: readonly FaultKind[] = [
  'kill-worker',
  'freeze-worker',
  'drain-worker',
  'kill-coordinator',
  'freeze-coordinator',
  'stop-coordinator',
  'broker-away',
  'broker-hangs',
  'database-away',
  'answers-lost',
  'late-writes',
  'attempt-fails',
  'cancel',
  'pause',
  'force-pause',
  'force-cancel',
  'resume',
];
/** What makes coordinators lose runs, and get them back, while something that they decided is still on its way. */
const CONTESTED: readonly FaultKind[] = [
  'kill-worker',
  'freeze-coordinator',
  'stop-coordinator',
  'late-writes',
  'late-writes',
  'answers-lost',
  'force-pause',
  'resume',
  'resume',
];
const CODES = ['OUT_OF_MEMORY', 'NON_FINITE_LOSS', 'UNAVAILABLE', 'WORKER_STOPPING', 'INTERNAL'];
/** Turns in which something goes wrong; then everything is mended. */
export const STORMY_TURNS = 120;

/** The schedule of a seed; every other one holds only what no run may notice, every fourth is about who owns the runs. */
export function scheduleOf(seed: number): Fault[] {
  const random = randomNumbers(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  const contested = seed % 4 === 0;
  const kinds = contested ? CONTESTED : seed % 2 === 0 ? KINDS : KINDS.filter((kind) => HARMLESS.has(kind));
  let last = 0;
  return Array.from({ length: 1 + upTo(contested ? 24 : 10) }, (): Fault => {
    // Troubles seldom come alone.
    const at = random() < 0.5 ? Math.min(last + upTo(8), STORMY_TURNS - 1) : upTo(STORMY_TURNS);
    last = at;
    const kind = kinds[upTo(kinds.length)] ?? 'resume';
    const turns = 1 + upTo(60);
    switch (kind) {
      case 'kill-worker':
      case 'freeze-worker':
      case 'drain-worker':
        return { at, kind, which: upTo(WORKERS), turns };
      case 'kill-coordinator':
      case 'freeze-coordinator':
      case 'stop-coordinator':
        return { at, kind, which: upTo(COORDINATORS), turns };
      case 'attempt-fails':
        return { at, kind, which: upTo(WORKERS), code: CODES[upTo(CODES.length)] ?? 'INTERNAL' };
      case 'broker-away':
      case 'broker-hangs':
      case 'database-away':
      case 'answers-lost':
      case 'late-writes':
        return { at, kind, turns };
      default:
        return { at, kind, which: upTo(RUNS) };
    }
  }).sort((a, b) => a.at - b.at);
}

/** The smallest part of a schedule that still fails: leaves out what it can, one fault at a time. */
export async function shrink(
  schedule: readonly Fault[],
  fails: (schedule: readonly Fault[]) => Promise<boolean>,
): Promise<readonly Fault[]> {
  for (let i = 0; i < schedule.length; i++) {
    const without = schedule.filter((_, place) => place !== i);
    if (await fails(without)) return await shrink(without, fails);
  }
  return schedule;
}
