import { expect, test } from 'vitest';
import { paddingPx } from './onnx-layers.js';

test.each([
  // size, kernel, stride: what TensorFlow's rule says
  [224, 3, 1, [1, 1]],
  [224, 3, 2, [0, 1]],
  [225, 3, 2, [1, 1]],
  [224, 5, 2, [1, 2]],
  [75, 5, 2, [2, 2]],
  [1, 5, 2, [2, 2]],
  [2, 5, 2, [1, 2]],
  [7, 1, 1, [0, 0]],
])('same: %i px, kernel %i, stride %i', (size, kernel, stride, expected) => {
  expect(paddingPx(size, kernel, stride, 'same')).toEqual(expected);
});

test('symmetric padding does not look at the size', () => {
  expect(paddingPx(224, 3, 2, 'symmetric')).toEqual([1, 1]);
  expect(paddingPx(75, 5, 1, 'symmetric')).toEqual([2, 2]);
});
