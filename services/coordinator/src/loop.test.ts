import { expect, test } from 'vitest';
import { silentLogger } from '@roentgen/logger';
import { Loop } from './loop.js';

const HOUR_MS = 3_600_000;

/** A turn that the test lets end. */
function controlledTurns() {
  const waiting: { finish: (error?: Error) => void }[] = [];
  const started: (() => void)[] = [];
  let count = 0;
  const turn = () =>
    new Promise<void>((resolve, reject) => {
      count++;
      waiting.push({ finish: (error) => (error === undefined ? resolve() : reject(error)) });
      started.shift()?.();
    });
  const nextStart = () => new Promise<void>((resolve) => started.push(resolve));
  return { turn, nextStart, finish: (error?: Error) => waiting.shift()?.finish(error), count: () => count };
}

test('a wake-up that comes during a turn leads to exactly one more', async () => {
  const turns = controlledTurns();
  const loop = new Loop('t', HOUR_MS, turns.turn, silentLogger);
  loop.start();
  loop.wake();
  loop.wake();
  const second = turns.nextStart();
  turns.finish();
  await second;
  turns.finish();
  await loop.stop();
  expect(turns.count()).toBe(2);
});

test('a failed turn is followed by another after the pause', async () => {
  const turns = controlledTurns();
  const loop = new Loop('t', 1, turns.turn, silentLogger);
  loop.start();
  const second = turns.nextStart();
  turns.finish(new Error('the database is away'));
  await second;
  turns.finish();
  await loop.stop();
  expect(turns.count()).toBeGreaterThanOrEqual(2);
});

test('stop waits for the turn under way', async () => {
  const turns = controlledTurns();
  const loop = new Loop('t', HOUR_MS, turns.turn, silentLogger);
  loop.start();
  let stopped = false;
  const stop = loop.stop().then(() => (stopped = true));
  await Promise.resolve();
  expect(stopped).toBe(false);
  turns.finish();
  await stop;
});
