import { Contestant, type ContestantSpec, type Ready, type Round } from './contestant.js';
import { orderOfRound } from './statistics.js';

export interface Measured extends Ready {
  /** In the order of the rounds. */
  readonly rounds: readonly Round[];
}

export interface MeasureOptions {
  readonly rounds: number;
  readonly steps: number;
  readonly say: (text: string) => void;
}

/** Lets the contestants prepare one after the other, then work in turn, round by round. → by name */
export async function measure<N extends string>(
  specs: readonly (ContestantSpec & { readonly name: N })[],
  { rounds, steps, say }: MeasureOptions,
): Promise<Readonly<Record<N, Measured>>> {
  const entries: { name: N; contestant: Contestant; ready: Ready; rounds: Round[] }[] = [];
  try {
    for (const spec of specs) {
      say(`${spec.name} prepares`);
      entries.push({ name: spec.name, ...(await Contestant.start(spec)), rounds: [] });
    }
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds}`);
      for (const entry of orderOfRound(entries, round)) entry.rounds.push(await entry.contestant.run(steps));
    }
  } finally {
    await Promise.all(entries.map(({ contestant }) => contestant.stop()));
  }
  const measured = {} as Record<N, Measured>;
  for (const { name, ready, rounds: answers } of entries) measured[name] = { ...ready, rounds: answers };
  return measured;
}
