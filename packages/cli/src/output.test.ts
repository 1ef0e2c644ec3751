import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { failureOf, UsageError } from './failure.js';
import { Output, table } from './output.js';
import { describeEvent } from './run-event-line.js';

function captured(json: boolean) {
  const texts = { stdout: '', stderr: '' };
  const sink = (name: keyof typeof texts) =>
    new Writable({
      write: (chunk: Buffer, _, done) => {
        texts[name] += chunk.toString();
        done();
      },
    });
  return { output: new Output({ json, stdout: sink('stdout'), stderr: sink('stderr') }), texts };
}

test('with --json stdout has one object and nothing else', () => {
  const { output, texts } = captured(true);
  output.note('working');
  const bar = output.progress('send', 2);
  bar.update(1);
  bar.update(2);
  bar.end();
  output.result({ images: 2 }, () => 'two images');
  expect(texts.stdout).toBe('{"images":2}\n');
  expect(texts.stderr).toContain('working');
});

test('a failure is words on stderr, and with --json an object on stdout as well', () => {
  const failure = failureOf(new UsageError('2 rows cannot be used', [{ field: 'labels.csv:3', message: 'no label' }]));
  const words = captured(false);
  words.output.failure(failure);
  expect(words.texts).toEqual({ stdout: '', stderr: 'error: 2 rows cannot be used\n  labels.csv:3: no label\n' });
  const json = captured(true);
  json.output.failure(failure);
  expect(JSON.parse(json.texts.stdout)).toEqual({
    error: {
      code: 'BAD_INPUT',
      message: '2 rows cannot be used',
      issues: [{ field: 'labels.csv:3', message: 'no label' }],
      requestId: null,
    },
  });
});

test('without a terminal progress is a line for every tenth, not for every step', () => {
  const { output, texts } = captured(false);
  const bar = output.progress('train', 1000);
  for (let step = 0; step <= 1000; step++) bar.update(step, `loss ${step}`);
  bar.end();
  expect(texts.stderr.trim().split('\n')).toHaveLength(11);
  expect(texts.stderr).toContain('train 500/1000 loss 500');
});

test('a table lines up words to the left and numbers to the right', () => {
  expect(
    table(
      ['split', 'images'],
      [
        ['train', 140],
        ['val', 30],
      ],
    ),
  ).toBe('split  images\n-----  ------\ntrain     140\nval        30');
});

test('an event is one line with its place and its numbers', () => {
  const event = {
    sequence: 12,
    kind: 'EVALUATED',
    occurredAt: '',
    epoch: 2,
    step: 40,
    status: null,
    message: null,
    checkpointId: null,
    failureCode: null,
  } as const;
  const metrics = [
    { name: 'val/accuracy', value: 0.812345, kind: 'FINITE' },
    { name: 'val/loss', value: null, kind: 'NAN' },
  ] as const;
  expect(describeEvent({ ...event, metrics })).toBe('   12  EVALUATED         epoch 2 step 40  val/accuracy 0.8123, val/loss NaN');
});
