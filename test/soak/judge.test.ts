import { expect, test } from 'vitest';
import type { Sample } from '../testkit/faults/flatness.js';
import type { PROCESSES } from './judge.js';
import { judge, type Observations } from './judge.js';

const MIB = 2 ** 20;
const steps = Array.from({ length: 40 }, (_, index) => (index + 1) * 50);
const flat = (step: number): Sample => ({ step, residentBytes: 300 * MIB, handles: 40, sockets: 10, threads: 12 });

const observed = (of: Partial<Record<(typeof PROCESSES)[number], (step: number) => Sample>> = {}): Observations => ({
  processes: {
    worker: steps.map(of.worker ?? flat),
    compute: steps.map(of.compute ?? flat),
    coordinator: steps.map(of.coordinator ?? flat),
    gateway: steps.map(of.gateway ?? flat),
  },
  shared: steps.map((step) => ({ step, consumers: ['a/b'], forgottenConnections: 0 })),
  gatewayHandles: { before: 30, after: 31 },
});
const failed = (observations: Observations) =>
  judge(observations)
    .filter(({ passed }) => !passed)
    .map(({ name }) => name);

test('what stays as it is passes', () => {
  expect(failed(observed())).toEqual([]);
});

test('a worker that keeps a tenth of a megabyte at each step does not', () => {
  expect(failed(observed({ compute: (step) => ({ ...flat(step), residentBytes: 300 * MIB + step * 0.1 * MIB }) }))).toEqual([
    'compute: memory, MiB',
  ]);
});

test('what grows in the beginning only passes', () => {
  const settling = (step: number) => ({ ...flat(step), residentBytes: Math.min(step, 500) * MIB });
  expect(failed(observed({ gateway: settling }))).toEqual([]);
});

test('handles, threads, connections, consumers and what subscribers leave behind are told apart', () => {
  const growing = (step: number) => ({ ...flat(step), handles: 40 + step / 20, threads: 12 + Math.floor(step / 500) });
  const found = observed({ coordinator: growing });
  expect(
    failed({
      ...found,
      shared: found.shared.map(({ step }) => ({ step, consumers: [`a/${step}`], forgottenConnections: step === 1_000 ? 1 : 0 })),
      gatewayHandles: { before: 30, after: 90 },
    }),
  ).toEqual([
    'coordinator: handles',
    'coordinator: threads',
    'JetStream consumers',
    'connections to Postgres',
    'gateway: handles left by subscribers who have gone',
  ]);
});

test('nothing measured is nothing passed', () => {
  const none = {
    processes: { worker: [], compute: [], coordinator: [], gateway: [] },
    shared: [],
    gatewayHandles: { before: 1, after: 1 },
  };
  expect(failed(none).length).toBeGreaterThan(10);
});
