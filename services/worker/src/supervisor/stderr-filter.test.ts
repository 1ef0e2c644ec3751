import { expect, test } from 'vitest';
import { StderrFilter } from './stderr-filter.js';

const NOISE = [
  'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n',
  'I0000 00:00:1763912345.123456   12345 port.cc:153] oneDNN custom operations are on. You may see slightly different numerical results due to floating-point round-off errors from different computation orders. To turn them off, set the environment variable `TF_ENABLE_ONEDNN_OPTS=0`.\n',
];

async function filtered(pieces: readonly (string | Buffer)[]): Promise<string> {
  const filter = new StderrFilter();
  for (const piece of pieces) filter.write(piece);
  filter.end();
  return Buffer.concat((await filter.toArray()) as Buffer[]).toString('utf8');
}

test('the two lines that TensorFlow always prints are dropped, everything else stays', async () => {
  expect(await filtered(['{"level":30,"msg":"connected"}\n', ...NOISE, 'F0000 tensor.cc:10] Check failed: NDIMS == dims()\n'])).toBe(
    '{"level":30,"msg":"connected"}\nF0000 tensor.cc:10] Check failed: NDIMS == dims()\n',
  );
});

test('lines are recognised when they arrive in pieces, and text is not torn within a character', async () => {
  const bytes = Buffer.from(`${NOISE.join('')}Gerät läuft\n`, 'utf8');
  expect(await filtered(Array.from(bytes, (byte) => Buffer.from([byte])))).toBe('Gerät läuft\n');
});

test('a last line without its end is passed on', async () => {
  expect(await filtered(['Abor', 'ted'])).toBe('Aborted');
});
