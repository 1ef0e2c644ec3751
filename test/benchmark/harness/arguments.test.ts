import { InvalidInputError } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { parseBenchmarkArguments, parseModelCase } from './arguments.js';

const defaults = { cases: 'b0-224-8,b3-300-4', steps: 4, peers: ['keras', 'pytorch'] } as const;
const parse = (...args: string[]) => parseBenchmarkArguments(args, defaults);

test('without arguments everything is measured, as a table', () => {
  const options = parse();
  expect(options).toMatchObject({ json: false, rounds: 5, steps: 4, peers: ['keras', 'pytorch'] });
  expect(options.cases.map(({ name }) => name)).toEqual(['b0-224-8', 'b3-300-4']);
  expect(options.threads).toBeGreaterThanOrEqual(1);
});

test('every figure can be chosen', () => {
  const options = parse('--json', '--rounds', '7', '--steps', '2', '--threads', '1', '--cases', 'B3-300-4', '--peers', 'pytorch');
  expect(options).toEqual({
    json: true,
    rounds: 7,
    steps: 2,
    threads: 1,
    cases: [{ name: 'b3-300-4', variant: 'B3', imageSizePx: 300, batchSize: 4 }],
    peers: ['pytorch'],
  });
});

test('"none" measures without peers', () => {
  expect(parse('--peers', 'none').peers).toEqual([]);
});

test.each(['b9-224-8', 'b0-224', 'b0-0-8', 'b0-224-0', 'b0-224-8-1', ''])('"%s" is no case', (text) => {
  expect(() => parseModelCase(text)).toThrow(/expected variant-pixels-batch, such as b0-224-8/);
});

test.each([
  [['--rounds', '0'], '--rounds is "0"'],
  [['--rounds', '2.5'], '--rounds is "2.5"'],
  [['--peers', 'jax'], '--peers has "jax": expected none or some of keras, pytorch'],
  [['--fast'], "Unknown option '--fast'"],
])('%j is refused with the reason', (args, reason) => {
  expect(() => parse(...args)).toThrow(InvalidInputError);
  expect(() => parse(...args)).toThrow(reason);
});

test('a benchmark of one case takes no --cases', () => {
  expect(() => parseBenchmarkArguments(['--cases', 'b0-224-8'], { steps: 1, peers: [] })).toThrow('leave out --cases');
});
