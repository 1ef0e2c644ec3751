import { expect, test } from 'vitest';
import { Contestant, type ContestantSpec } from './contestant.js';

function program(source: string): ContestantSpec {
  return { name: 'peer', command: process.execPath, args: ['-e', source], setup: { batchSize: 8 } };
}

test('a contestant prepares once and answers each round', async () => {
  const { contestant, ready } = await Contestant.start(
    program(`
      const setup = JSON.parse(process.argv[1]);
      console.log(JSON.stringify({ buildSeconds: 1, firstStepSeconds: setup.batchSize }));
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) =>
        console.log(JSON.stringify({ stepMs: Array(JSON.parse(line).steps).fill(5), peakBytes: 1000 })));
    `),
  );
  try {
    expect(ready).toEqual({ buildSeconds: 1, firstStepSeconds: 8 });
    expect(await contestant.run(2)).toEqual({ stepMs: [5, 5], peakBytes: 1000 });
    expect(await contestant.run(3)).toEqual({ stepMs: [5, 5, 5], peakBytes: 1000 });
  } finally {
    await contestant.stop();
  }
});

test('one that dies is an error with its last words', async () => {
  await expect(Contestant.start(program(`console.error('no module named torch'); process.exit(1)`))).rejects.toThrow(
    /peer ended without an answer[^]*no module named torch/,
  );
});

test('a program that does not exist is an error', async () => {
  await expect(Contestant.start({ name: 'peer', command: 'no-such-program', args: [], setup: {} })).rejects.toThrow(/peer ended without/);
});

test('an answer of another form is refused', async () => {
  await expect(Contestant.start(program(`console.log('{"buildSeconds": "soon"}')`))).rejects.toThrow();
});
