import { expect, test } from 'vitest';
import { newId } from '@roentgen/domain';
import { spareCheckpoints } from './retention.js';

const run = (losses: readonly (number | null)[], needed: readonly number[] = []) =>
  losses.map((validationLoss, i) => ({ checkpointId: newId('ckp'), step: (i + 1) * 10, validationLoss, needed: needed.includes(i) }));
const spare = (checkpoints: ReturnType<typeof run>, keepLast: number, keepBest: number) =>
  spareCheckpoints(checkpoints, { keepLast, keepBest }).map(({ step }) => step);

test.each<[string, readonly (number | null)[], readonly number[], [number, number], readonly number[]]>([
  ['the last ones stay', [1, 1, 1, 1], [], [2, 0], [10, 20]],
  ['the best one stays, too', [5, 1, 3, 4, 6], [], [2, 1], [10, 30]],
  ['a best one that is among the last takes no other place', [5, 4, 3, 2, 1], [], [2, 1], [10, 20, 30]],
  ['several best ones stay', [5, 1, 2, 4, 6], [], [1, 2], [10, 40]],
  ['what a run or an attempt goes on from stays', [1, 2, 3, 4], [1], [1, 0], [10, 30]],
  ['of equally good ones the later stays', [1, 1, 2, 2], [], [1, 1], [10, 30]],
  ['one that was not evaluated is not the best', [null, 2, null, 3], [], [1, 1], [10, 30]],
  ['without any evaluation only the last stay', [null, null, null], [], [1, 5], [10, 20]],
  ['the last one stays whatever is asked for', [1, 2], [], [0, 0], [10]],
  ['few are all kept', [1, 2], [], [3, 1], []],
  ['none are none', [], [], [3, 1], []],
])('%s', (_what, losses, needed, [keepLast, keepBest], expected) => {
  expect(spare(run(losses, needed), keepLast, keepBest)).toEqual(expected);
});

test('the order in which they are given does not matter', () => {
  const checkpoints = run([5, 1, 3, 4, 6]);
  expect(spare([...checkpoints].reverse(), 2, 1).sort()).toEqual([10, 30]);
});
