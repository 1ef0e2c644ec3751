import { expect, test } from 'vitest';
import { DeviceUnavailableError } from '../errors.js';
import { detectDevice } from './device.js';

const withGpu = { isUsingGpuDevice: () => true };
const withoutGpu = { isUsingGpuDevice: () => false };

test.each([
  ['auto', withGpu, 'cuda'],
  ['auto', withoutGpu, 'cpu'],
  ['cpu', withoutGpu, 'cpu'],
  ['cuda', withGpu, 'cuda'],
] as const)('%s on a machine says what is really there', (preference, binding, device) => {
  expect(detectDevice(binding, preference)).toMatchObject({ device });
});

test('asking for a GPU where none is visible is an error that names the ways out', () => {
  expect(() => detectDevice(withoutGpu, 'cuda')).toThrow(DeviceUnavailableError);
  expect(() => detectDevice(withoutGpu, 'cuda')).toThrow(/nvidia-smi.*WORKER_DEVICE=auto/);
});
