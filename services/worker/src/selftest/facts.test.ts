import { expect, test } from 'vitest';
import { driverVersion, gpuFromLog } from './facts.js';
import { parseProcessStatus } from './memory.js';

test('a log without a GPU names none', () => {
  expect(gpuFromLog('I0000 cpu_feature_guard.cc:227] This TensorFlow binary is optimized\n')).toBeNull();
});

test("the GPU's facts are read from TensorFlow's log", () => {
  const line =
    'Created device /job:localhost/replica:0/task:0/device:GPU:0 with 78729 MB memory:  -> device: 0, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:19:00.0, compute capability: 9.0';
  expect(gpuFromLog(`noise\nI0000 00:00:1 gpu_device.cc:2020] ${line}\nnoise`)).toEqual({
    device: '/job:localhost/replica:0/task:0/device:GPU:0',
    model: 'NVIDIA H100 80GB HBM3',
    pciBusId: '0000:19:00.0',
    computeCapability: '9.0',
    memoryBytes: 78729 * 2 ** 20,
  });
});

test.each([
  ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: gcc 11\n', '535.104.05'],
  ['NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (user@host)\n', '570.86.15'],
  ['something else', null],
  [null, null],
])('the driver version of %j is %s', (text, version) => {
  expect(driverVersion(text)).toBe(version);
});

test('memory of a process is read in kilobytes', () => {
  expect(parseProcessStatus('Name:\tnode\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n')).toEqual({ residentBytes: 2 ** 20, peakBytes: 2 ** 21 });
  expect(() => parseProcessStatus('Name:\tnode\n')).toThrow(/needs Linux/);
});
