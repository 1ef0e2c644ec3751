import { expect, test } from 'vitest';
import { WEIGHTS_LIMITS } from './limits.js';
import { TensorBudget, checkFileSize, elementCount } from './named-tensor.js';

test('shapes have whole dimensions, few of them, and no more elements than are read', () => {
  expect(elementCount('w', [])).toBe(1);
  expect(elementCount('w', [2, 0, 3])).toBe(0);
  expect(elementCount('w', [WEIGHTS_LIMITS.elements])).toBe(WEIGHTS_LIMITS.elements);
  expect(() => elementCount('w', [WEIGHTS_LIMITS.elements + 1])).toThrow('elements of "w": 268435457: at most 268435456 are read');
  expect(() => elementCount('w', [2 ** 20, 2 ** 20])).toThrow('elements of "w": 1099511627776');
  expect(elementCount('w', [1, 1, 1, 1, 1, 1, 1, 1])).toBe(1);
  expect(() => elementCount('w', [1, 1, 1, 1, 1, 1, 1, 1, 1])).toThrow('dimensions of "w": 9: at most 8 are read');
  for (const dimension of [-1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
    expect(() => elementCount('w', [dimension]), `${dimension}`).toThrow('dimensions are whole numbers from 0');
  }
});

test('tensors and elements of a file are counted together', () => {
  const elements = new TensorBudget();
  elements.take(WEIGHTS_LIMITS.elements);
  elements.take(0);
  expect(() => elements.take(1)).toThrow('elements of all tensors: 268435457');
  const tensors = new TensorBudget();
  for (let i = 0; i < WEIGHTS_LIMITS.tensors; i++) tensors.take(0);
  expect(() => tensors.take(0)).toThrow('tensors of the file: 20001');
});

test('a file larger than any is not looked at', () => {
  // Memory of the size is not needed to ask for the size.
  const sized = (length: number) => Object.defineProperty(new Uint8Array(), 'length', { value: length });
  expect(() => checkFileSize(sized(WEIGHTS_LIMITS.fileBytes))).not.toThrow();
  expect(() => checkFileSize(sized(WEIGHTS_LIMITS.fileBytes + 1))).toThrow('bytes of the file: 2147483648: at most 2147483647 are read');
});
