import { expect, test } from 'vitest';
import { LastWords } from './last-words.js';
import { failureOfDeath, memoryKills, type Death } from './post-mortem.js';

const death = (overrides: Partial<Death>): Death => ({
  code: null,
  signal: 'SIGABRT',
  lastWords: '',
  stopping: false,
  killedForMemory: false,
  ...overrides,
});

test.each([
  ['an abort', death({ lastWords: 'F tensor.cc:901 Check failed: 1 == 2' }), 'COMPUTE_PROCESS_DIED', /SIGABRT\. Its last words: F tensor/],
  ['an exit', death({ signal: null, code: 70 }), 'COMPUTE_PROCESS_DIED', /exit code 70\.$/],
  [
    'an allocation that failed',
    death({ lastWords: "terminate called after throwing 'std::bad_alloc'" }),
    'OUT_OF_MEMORY',
    /smaller microBatchSize/,
  ],
  [
    'an allocator of the GPU',
    death({ lastWords: 'W bfc_allocator.cc: Allocator ran out of memory trying to allocate 2GiB' }),
    'OUT_OF_MEMORY',
    /2GiB/,
  ],
  ['the kernel, for memory', death({ signal: 'SIGKILL', killedForMemory: true }), 'OUT_OF_MEMORY', /SIGKILL/],
  ['somebody with kill -9', death({ signal: 'SIGKILL' }), 'COMPUTE_PROCESS_DIED', /SIGKILL/],
  ['the supervisor, after its grace', death({ signal: 'SIGKILL', stopping: true }), 'WORKER_STOPPING', /shutting down/],
])('ended by %s', (_what, how, code, message) => {
  expect(failureOfDeath(how)).toMatchObject({ code, message: expect.stringMatching(message) as string, details: { signal: how.signal } });
});

test('the kernel counts what it killed for memory', () => {
  expect(memoryKills('low 0\noom 3\noom_kill 2\n')).toBe(2);
  expect(memoryKills('low 0\n')).toBeNull();
});

test('last words are the last lines that are no log, whole or in pieces', () => {
  const words = new LastWords();
  words.add('{"level":30,"msg":"attempt accepted"}\n');
  for (let line = 1; line <= 20; line++) words.add(`line ${line}\n`);
  words.add('F half of');
  words.add(' a line');
  expect(words.text.split('\n')).toEqual([...Array.from({ length: 11 }, (_, i) => `line ${i + 10}`), 'F half of a line']);
});

test('the reason stays, however long the stack is that follows it', () => {
  const words = new LastWords();
  words.add('F0000 tensor.cc:901] Check failed: 1 == dims() (1 vs. 4)\n*** Check failure stack trace: ***\n');
  for (let frame = 0; frame < 40; frame++) words.add(`    @     0x7f12${frame}  tensorflow::Run()\n`);
  words.add('----- Native stack trace -----\n\n 1: 0xd3a3c0  [/usr/bin/node]\n');
  expect(words.text).toBe('F0000 tensor.cc:901] Check failed: 1 == dims() (1 vs. 4)');
});
