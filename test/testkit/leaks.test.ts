import { expect, test } from 'vitest';
import { patientsInSeveralSplits } from './leaks.js';

test('a patient with images in two splits is found', () => {
  const samples = ['a TRAIN', 'b VAL', 'a TRAIN', 'c TEST', 'b TRAIN'].map((text) => ({
    patient: text.split(' ')[0] ?? '',
    split: text.split(' ')[1] ?? '',
  }));
  expect(patientsInSeveralSplits(samples)).toEqual(['b']);
  expect(patientsInSeveralSplits(samples.slice(0, 4))).toEqual([]);
});
