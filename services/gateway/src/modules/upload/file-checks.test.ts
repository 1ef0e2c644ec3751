import { expect, test } from 'vitest';
import { InvalidInputError } from '@roentgen/domain';
import { MAX_FILE_BYTES, assertNamesFree, checkFiles } from './file-checks.js';

const file = (fileName: string, more: object = {}) => ({ fileName, bytes: 10, ...more });

function issuesOf(act: () => unknown): Record<string, string> {
  try {
    act();
  } catch (thrown) {
    if (thrown instanceof InvalidInputError) return Object.fromEntries(thrown.issues.map((issue) => [issue.field, issue.message]));
    throw thrown;
  }
  return {};
}

test('good files are taken as they are, blank texts as absent', () => {
  expect(checkFiles([file('a.png', { sha256: 'A'.repeat(64), label: ' normal ', patient: ' ', view: null })])).toEqual([
    { fileName: 'a.png', bytes: 10, sha256: 'a'.repeat(64), label: 'normal', patient: null, site: null, view: null },
  ]);
});

test('everything that is wrong with any file is told at once', () => {
  const issues = issuesOf(() =>
    checkFiles([
      file('a.png'),
      file('a.png'),
      file('empty.png', { bytes: 0 }),
      file('huge.png', { bytes: MAX_FILE_BYTES + 1 }),
      file('b.png', { sha256: 'abc' }),
      file(''),
      file('tab\t.png'),
      file('c.png', { label: 'x'.repeat(2000) }),
    ]),
  );
  expect(issues).toEqual({
    'files[1].fileName': '"a.png" is also files[0]: names must be unique in an upload',
    'files[2].bytes': '"empty.png" has 0 bytes: an empty file is no image, leave it out',
    'files[3].bytes': '"huge.png" has 67108865 bytes; at most 67108864 (64 MiB) are taken',
    'files[4].sha256': '"abc" is no SHA-256: expected 64 hex digits, or leave it out',
    'files[5].fileName': 'takes 1 to 1024 characters, got 0',
    'files[6].fileName': '"tab\\t.png" contains a control character: rename the file',
    'files[7].label': 'takes at most 1024 characters without control characters',
  });
});

test('1 to 500 files a call', () => {
  expect(issuesOf(() => checkFiles([]))).toEqual({ files: 'takes 1 to 500 files, got 0' });
  expect(issuesOf(() => checkFiles(Array.from({ length: 501 }, (_, i) => file(`${i}.png`))))).toEqual({
    files: 'takes 1 to 500 files, got 501',
  });
});

test('names that the upload has already are told by place', () => {
  const files = checkFiles([file('a.png'), file('b.png')]);
  expect(issuesOf(() => assertNamesFree(files, ['b.png']))).toEqual({
    'files[1].fileName': '"b.png" is already in this upload: leave it out or rename it',
  });
  expect(issuesOf(() => assertNamesFree(files, []))).toEqual({});
});
