import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { catalogueEntry, checkPublishedDigest, type PublishedDigest } from './catalogue.js';

const file = Buffer.from('the published file');
const sha256 = createHash('sha256').update(file).digest('hex');
const md5 = createHash('md5').update(file).digest('hex');
/** With another digit at a place. */
const changed = (hex: string, at: number) => hex.slice(0, at) + (hex[at] === '0' ? '1' : '0') + hex.slice(at + 1);

test('a file is recognised by what its publisher says of it', () => {
  for (const digest of [
    { kind: 'sha256', hex: sha256 },
    { kind: 'sha256-prefix', hex: sha256.slice(0, 8) },
    { kind: 'md5', hex: md5 },
  ] satisfies PublishedDigest[]) {
    expect(() => checkPublishedDigest(file, digest), digest.kind).not.toThrow();
  }
});

test.each<[string, PublishedDigest]>([
  ['the first digit of a SHA-256', { kind: 'sha256', hex: changed(sha256, 0) }],
  ['the last digit of a SHA-256', { kind: 'sha256', hex: changed(sha256, 63) }],
  ['a SHA-256 of which only the beginning is given', { kind: 'sha256', hex: sha256.slice(0, 8) }],
  ['the first digit of a prefix', { kind: 'sha256-prefix', hex: changed(sha256.slice(0, 8), 0) }],
  ['the last digit of a prefix', { kind: 'sha256-prefix', hex: changed(sha256.slice(0, 8), 7) }],
  ['digits that stand further on in the SHA-256', { kind: 'sha256-prefix', hex: sha256.slice(1, 9) }],
  ['the last digit of an MD5', { kind: 'md5', hex: changed(md5, 31) }],
  ['a SHA-256 where an MD5 belongs', { kind: 'md5', hex: sha256 }],
])('another file is told by %s', (_, digest) => {
  expect(() => checkPublishedDigest(file, digest)).toThrow(expect.objectContaining({ code: 'WEIGHTS_DIGEST' }));
});

test.each(['constructor', 'toString', '__proto__', ''])('%j is no name of the catalogue', (name) => {
  expect(() => catalogueEntry(name)).toThrow(expect.objectContaining({ code: 'WEIGHTS_UNKNOWN_NAME' }));
});
