import { expect, test } from 'vitest';
import { parseModelCase } from './arguments.js';
import { formatMemory, memoryLine, pairsOf } from './memory.js';

const cases = (...names: string[]) => names.map(parseModelCase);

test('two batch sizes of one network are a pair, in whatever order they come', () => {
  const pairs = pairsOf(cases('b3-300-8', 'b0-224-8', 'b3-300-4', 'b0-224-16'));
  expect(pairs.map(({ smaller, larger }) => [smaller.name, larger.name])).toEqual([
    ['b3-300-4', 'b3-300-8'],
    ['b0-224-8', 'b0-224-16'],
  ]);
});

test.each([[['b0-224-8']], [['b0-224-8', 'b0-224-8']], [['b0-224-1', 'b0-224-2', 'b0-224-3']], [['b0-224-8', 'b0-240-16']]])(
  '%j is no pair',
  (names) => {
    expect(() => pairsOf(cases(...names))).toThrow('memory per image needs exactly two batch sizes');
  },
);

test('what grows with the batch belongs to the images, the rest to the base', () => {
  const line = memoryLine({ images: 2, peakBytes: 900e6 }, { images: 6, peakBytes: 1_700e6 });
  expect(line).toMatchObject({ bytesPerImage: 200e6, baseBytes: 500e6 });
  const recomputed = memoryLine({ images: 2, peakBytes: 600e6 }, { images: 6, peakBytes: 850e6 });
  expect(formatMemory({ case: 'memory-b0-224', unit: 'bytes', kept: line, recomputed, threads: 2 })).toBe(
    '| b0-224 | 900 (2), 1700 (6) | 500 | 200 | 600 (2), 850 (6) | 475 | 63 | 0.50 |',
  );
});
