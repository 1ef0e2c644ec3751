import { expect, test } from 'vitest';
import { scheduleOf, shrink } from './faults.js';
import { play } from './play.js';

const SEEDS = 500;

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
