import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LibtensorflowMissingError, locateLibtensorflow } from './locate.js';

let checkout: string;
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'roentgen-locate-'));
  mkdirSync(join(checkout, 'node_modules', '.roentgen'), { recursive: true });
  mkdirSync(join(checkout, 'packages', 'tensorflow'), { recursive: true });
});
afterEach(() => rmSync(checkout, { recursive: true, force: true }));

const record = (content: unknown) =>
  writeFileSync(
    join(checkout, 'node_modules', '.roentgen', 'installation.json'),
    typeof content === 'string' ? content : JSON.stringify(content),
  );
const locate = () => locateLibtensorflow(join(checkout, 'packages', 'tensorflow'));

test('the addon that set-up recorded is found from a package below', () => {
  const bindingPath = join(checkout, 'tfjs_binding.node');
  writeFileSync(bindingPath, '');
  record({ libtensorflow: { version: '2.21.0', device: 'cpu', bindingPath } });
  expect(locate()).toEqual({ version: '2.21.0', device: 'cpu', bindingPath });
});

test('a CUDA build also says where libdevice is', () => {
  const bindingPath = join(checkout, 'tfjs_binding.node');
  writeFileSync(bindingPath, '');
  record({ libtensorflow: { version: '2.21.0', device: 'cuda', bindingPath, cudaDirectory: '/cuda' } });
  expect(locate().cudaDirectory).toBe('/cuda');
});

test('a folder that was moved is found by paths that start from its record', () => {
  const bindingPath = join(checkout, 'libtensorflow', 'lib', 'tfjs_binding.node');
  mkdirSync(join(checkout, 'libtensorflow', 'lib'), { recursive: true });
  writeFileSync(bindingPath, '');
  const fromRecord = (path: string) => `../../libtensorflow/${path}`;
  record({
    libtensorflow: {
      version: '2.21.0',
      device: 'cuda',
      bindingPath: fromRecord('lib/tfjs_binding.node'),
      cudaDirectory: fromRecord('nvcc'),
    },
  });
  expect(locate()).toMatchObject({ bindingPath, cudaDirectory: join(checkout, 'libtensorflow', 'nvcc') });
});

test.each([
  ['set-up has not run', undefined, /not set up/],
  ['the record was cut off', '{"libtensorflow":', /no JSON/],
  ['the record has another form', { libtensorflow: { device: 'tpu' } }, /does not say/],
  [
    'the cache was deleted',
    { libtensorflow: { version: '2.21.0', device: 'cpu', bindingPath: '/nowhere/tfjs_binding.node' } },
    /not there any more/,
  ],
])('when %s, the error names the fix', (_case, content, message) => {
  if (content !== undefined) record(content);
  expect(locate).toThrow(LibtensorflowMissingError);
  expect(locate).toThrow(message);
  expect(locate).toThrow(/npm run setup/);
});
