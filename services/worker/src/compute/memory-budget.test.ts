import { expect, test } from 'vitest';
import { memoryBudgetBytes } from './memory-budget.js';

const GIB = 2 ** 30;
const sources = { machineBytes: () => 32 * GIB, gpuBytes: (gpu: string) => (gpu === '1' ? 80 * GIB : null) };

test.each([
  ['cpu', { memoryBytes: 0, gpu: '-1' }, 16 * GIB],
  ['cuda', { memoryBytes: 0, gpu: '1' }, 72 * GIB],
  ['cuda', { memoryBytes: 0, gpu: '0' }, null],
  ['cuda', { memoryBytes: GIB, gpu: '0' }, GIB],
] as const)('a worker on %s with %j may use %s bytes', (device, settings, expected) => {
  expect(memoryBudgetBytes(device, settings, sources)).toBe(expected);
});
