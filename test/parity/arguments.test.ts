import { expect, test } from 'vitest';
import { parseParityArguments } from './arguments.js';

test('without a pattern every case is wanted', () => {
  expect(parseParityArguments([])).toMatchObject({ json: false, list: false });
  expect(parseParityArguments([]).selects('logits/keras/B0@97')).toBe(true);
});

test.each([
  ['keras', ['logits/keras/B0@97'], ['logits/timm/B0@97']],
  ['LOGITS/*b0', ['logits/keras/B0@97', 'logits/timm/B0@224'], ['logits/keras/B3@75', 'gradients/keras/B0-batch@65']],
  ['b0@9.', [], ['logits/keras/B0@97']],
])('--only %s', (pattern, wanted, unwanted) => {
  const { selects } = parseParityArguments(['--only', pattern]);
  expect(wanted.filter((name) => !selects(name))).toEqual([]);
  expect(unwanted.filter(selects)).toEqual([]);
});

test('several patterns each add cases', () => {
  const { selects } = parseParityArguments(['--only', 'weights', '--only', 'shapes', '--json']);
  expect(['weights/keras/h5', 'shapes/timm/B0', 'logits/timm/B0'].map(selects)).toEqual([true, true, false]);
});

test('an argument that does not exist is named', () => {
  expect(() => parseParityArguments(['--onyl', 'x'])).toThrow("Unknown option '--onyl'");
});
