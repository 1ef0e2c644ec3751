import { expect, test } from 'vitest';
import { parseMetrics, valueOf } from './prometheus-text.js';

const TEXT = `# HELP a_total What is counted.
# TYPE a_total counter
a_total{of="x \\"y\\"\\n\\\\",b="1"} 3
a_total{of="z",b="1"} 1e3
# HELP t_seconds Time.
# TYPE t_seconds histogram
t_seconds_bucket{le="0.5"} 1
t_seconds_bucket{le="+Inf"} 2
t_seconds_sum 1.25
t_seconds_count 2
# HELP g A gauge.
# TYPE g gauge
g Nan
`;

test('families, labels with escapes and values are read', () => {
  const families = parseMetrics(TEXT);
  expect([...families].map(([name, { type }]) => [name, type])).toEqual([
    ['a_total', 'counter'],
    ['t_seconds', 'histogram'],
    ['g', 'gauge'],
  ]);
  expect(valueOf(families, 'a_total', { b: '1', of: 'x "y"\n\\' })).toBe(3);
  expect(valueOf(families, 'a_total', { b: '1', of: 'z' })).toBe(1_000);
  expect(valueOf(families, 't_seconds_count')).toBe(2);
  expect(valueOf(families, 'g')).toBeNaN();
  expect(valueOf(families, 'a_total', { of: 'z' })).toBeUndefined();
});

test.each([
  ['a sample without a family', 'x 1'],
  ['a sample of another family', TEXT.replace('g Nan', 'h NaN')],
  ['a sample twice', `${TEXT}g 2\n`],
  ['labels that do not close', TEXT.replace('b="1"} 3', 'b="1" 3')],
  ['a value that is none', TEXT.replace('g Nan', 'g much')],
  ['buckets that fall', TEXT.replace('"+Inf"} 2', '"+Inf"} 0')],
  ['buckets without an end', TEXT.replace('"+Inf"', '"9"')],
])('%s is an error', (_what, text) => {
  expect(() => parseMetrics(text)).toThrow();
});
