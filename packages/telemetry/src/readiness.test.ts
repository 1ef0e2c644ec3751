import { expect, test } from 'vitest';
import { Readiness, type Dependency } from './readiness.js';

const up = (name: string, needed = true): Dependency => ({ name, needed, check: () => Promise.resolve() });
const down = (name: string, reason: string, needed = true): Dependency => ({
  name,
  needed,
  check: () => Promise.reject(new Error(reason)),
});

function started(dependencies: readonly Dependency[], options: ConstructorParameters<typeof Readiness>[0] = { keptMs: 0 }): Readiness {
  const readiness = new Readiness(options);
  readiness.watch(dependencies);
  readiness.started();
  return readiness;
}

test('a service is ready when all it needs is there; what it can do without is told and does not count', async () => {
  expect(await started([up('postgres'), down('store', 'no route', false)]).report()).toEqual({
    ready: true,
    reason: null,
    dependencies: [
      { name: 'postgres', needed: true, state: 'UP', reason: null },
      { name: 'store', needed: false, state: 'DOWN', reason: 'no route' },
    ],
  });
  expect(await started([up('postgres'), down('nats', 'gone')]).report()).toMatchObject({ ready: false, reason: null });
});

test('a service that is starting or stopping is not ready, whatever it has', async () => {
  const readiness = new Readiness();
  expect(await readiness.report()).toEqual({ ready: false, reason: 'starting', dependencies: [] });
  readiness.watch([up('nats')]);
  readiness.started();
  expect((await readiness.report()).ready).toBe(true);
  readiness.stopping();
  expect(await readiness.report()).toMatchObject({ ready: false, reason: 'stopping', dependencies: [{ state: 'UP' }] });
});

test('a part that hangs counts as away, is asked once until it answers, and then is there again', async () => {
  let asked = 0;
  let answer = (): void => undefined;
  const hanging: Dependency = { name: 'nats', needed: true, check: () => (asked++, new Promise<void>((resolve) => (answer = resolve))) };
  const readiness = started([hanging], { timeoutMs: 5, keptMs: 0 });
  for (let i = 0; i < 3; i++) {
    expect((await readiness.report()).dependencies[0]).toMatchObject({ state: 'DOWN', reason: 'did not answer within 5 ms' });
  }
  expect(asked).toBe(1);
  answer();
  await Promise.resolve();
  const again = readiness.report();
  answer();
  expect((await again).ready).toBe(true);
});

test('an answer is given again for a while: who asks often makes no more work', async () => {
  let [asked, nowMs] = [0, 1_000];
  const counted: Dependency = { name: 'postgres', needed: true, check: () => Promise.resolve(asked++) };
  const readiness = started([counted], { keptMs: 500, nowMs: () => nowMs });
  await Promise.all(Array.from({ length: 20 }, () => readiness.report()));
  nowMs += 499;
  await readiness.report();
  expect(asked).toBe(1);
  nowMs += 1;
  await readiness.report();
  expect(asked).toBe(2);
});
