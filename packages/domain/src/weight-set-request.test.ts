import { expect, test } from 'vitest';
import { readWeightSetRequest, readWebAddress } from './weight-set-request.js';

test('names of variants are understood as in recipes, digests in large letters too, and what is left out is open', () => {
  expect(readWeightSetRequest({ name: ' mine ', variant: 'efficientnet-b3', library: 'timm-tf', sha256: 'AB'.repeat(32) })).toEqual({
    name: 'mine',
    variant: 'B3',
    library: 'timm-tf',
    sha256: 'ab'.repeat(32),
    issues: [],
  });
  expect(readWeightSetRequest({ name: 'mine', variant: null })).toEqual({
    name: 'mine',
    variant: null,
    library: null,
    sha256: null,
    issues: [],
  });
});

test('all that is wrong is said at once', () => {
  const { issues } = readWeightSetRequest({ name: '', variant: 'b9', library: 'caffe', sha256: 'xyz' });
  expect(issues).toEqual([
    { field: 'name', message: 'takes 1 to 200 characters, got 0' },
    { field: 'variant', message: '"b9" is none of B0, B1, B2, B3, B4, B5, B6, B7, Lite0' },
    { field: 'library', message: expect.stringMatching(/^"caffe" is none of torchvision, timm,/) },
    { field: 'sha256', message: '"xyz" is no SHA-256: expected 64 hex digits, or leave it out' },
  ]);
});

test.each([
  ['n'.repeat(201), 'takes 1 to 200 characters, got 201'],
  ['a\u0007b', 'contains a control character'],
  ['wts_1', '"wts_1" looks like an id: choose one that does not begin with wts_'],
])('the name %j is refused', (name, message) => {
  expect(readWeightSetRequest({ name }).issues).toEqual([{ field: 'name', message }]);
});

test.each(['', 'a'.repeat(63), 'a'.repeat(65), 'g'.repeat(64), ` ${'a'.repeat(64)}`])('%j is no digest', (sha256) => {
  expect(readWeightSetRequest({ name: 'x', sha256 }).issues).toMatchObject([{ field: 'sha256' }]);
});

test('addresses are of the web and well-formed', () => {
  expect(readWebAddress('HTTPS://Example.org/a%20b.pth?x=%zz')?.pathname).toBe('/a%20b.pth');
  expect(readWebAddress('https://example.org/%ff.pth')).not.toBeNull();
  for (const none of ['http://example.org/%zz', 'https://example.org/100%', 'ftp://example.org/a', 'http://', 'a.pth', '']) {
    expect(readWebAddress(none), none).toBeNull();
  }
});
