import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { InvalidInputError, type ManifestEntry } from '@roentgen/domain';
import { ManifestCorruptError, classesOf, encodeManifest, parseManifest } from './index.js';

const entry = (fileName: string, extra: Partial<ManifestEntry> = {}): ManifestEntry => ({
  fileName,
  sha256: createHash('sha256').update(fileName).digest('hex'),
  label: 'normal',
  patient: 'p1',
  split: 'train',
  widthPx: 64,
  heightPx: 48,
  ...extra,
});
const entries = [
  entry('b.png'),
  entry('a.png', { site: 'north', transform: 'copy 2', sourceSha256: 'c'.repeat(64) }),
  entry('ä "quoted"\n.png', { view: 'PA' }),
];
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (text: string) => new TextEncoder().encode(text);
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('a manifest is read as it was written, sorted by file name', () => {
  const { bytes, sha256 } = encodeManifest(entries);
  expect(parseManifest(bytes, sha256)).toEqual([entries[1], entries[0], entries[2]]);
});

test('the same entries give the same bytes, whatever the order of entries and fields', () => {
  const shuffled = [...entries].reverse().map((each) => Object.fromEntries(Object.entries(each).reverse()) as ManifestEntry);
  expect(encodeManifest(shuffled)).toEqual(encodeManifest(entries));
  expect(encodeManifest([entry('a.png', { label: 'other' })]).sha256).not.toBe(encodeManifest([entry('a.png')]).sha256);
});

test('the text is fixed: another one would give every stored version another name', () => {
  const { bytes, sha256 } = encodeManifest([entry('a.png', { sha256: '0'.repeat(64), transform: 't', view: 'PA' })]);
  expect(textOf(bytes)).toBe(
    `{"fileName":"a.png","sha256":"${'0'.repeat(64)}","label":"normal","patient":"p1","split":"train","widthPx":64,"heightPx":48,"view":"PA","transform":"t"}\n`,
  );
  expect(sha256).toBe(hashOf(bytes));
});

test('names are ordered by code point, not by UTF-16 unit or language', () => {
  const names = ['\u{1F4A9}', '\uFFFD', 'ä', 'z', 'a', 'Z'];
  const { bytes, sha256 } = encodeManifest(names.map((name) => entry(name)));
  expect(parseManifest(bytes, sha256).map(({ fileName }) => fileName)).toEqual(['Z', 'a', 'z', 'ä', '\uFFFD', '\u{1F4A9}']);
  expect(classesOf(names.map((label) => ({ label })))).toEqual(['Z', 'a', 'z', 'ä', '\uFFFD', '\u{1F4A9}']);
  expect(classesOf([{ label: 'b' }, { label: 'a' }, { label: 'b' }])).toEqual(['a', 'b']);
});

describe('is refused when it is written', () => {
  test.each<[string, readonly ManifestEntry[], RegExp]>([
    ['without entries', [], /at least one entry/],
    ['with a file name twice', [entry('a'), entry('b'), entry('a')], /The file name "a" occurs twice/],
    ['with a hash that is none', [entry('a', { sha256: 'x' })], /"a" cannot be an entry of a manifest: .*64 hex digits/s],
    ['with an image of no size', [entry('a', { widthPx: 0 })], /widthPx/],
  ])('%s', (_, list, problem) => {
    expect(() => encodeManifest(list)).toThrow(InvalidInputError);
    expect(() => encodeManifest(list)).toThrow(problem);
  });
});

describe('is refused when it is read', () => {
  const { bytes, sha256 } = encodeManifest(entries);

  test('with any other bytes than were stored', () => {
    const changed = Uint8Array.from(bytes, (byte, i) => (i === 20 ? byte ^ 1 : byte));
    for (const wrong of [changed, bytes.subarray(0, bytes.length - 1), new Uint8Array()]) {
      expect(() => parseManifest(wrong, sha256)).toThrow(ManifestCorruptError);
      expect(() => parseManifest(wrong, sha256)).toThrow(
        `instead of ${sha256} (${wrong.length} bytes): the stored object was changed or cut`,
      );
    }
  });

  const [first, second] = textOf(bytes).split('\n');
  test.each<[string, Uint8Array, RegExp, number | undefined]>([
    ['text that is not JSON', bytesOf(`${first}\nnonsense\n`), /Line 2 of the manifest is no valid entry/, 2],
    ['an entry without its label', bytesOf(`${first}\n{"fileName":"b.png"}\n`), /Line 2 .*label/s, 2],
    ['an empty line', bytesOf(`${first}\n\n${second}\n`), /Line 2/, 2],
    ['lines out of order', bytesOf(`${second}\n${first}\n`), /Line 2 .*"a\.png" must come before "b\.png"/, 2],
    ['the same line twice', bytesOf(`${first}\n${first}\n`), /Line 2 .* be there once/, 2],
    ['a last line that is cut', bytesOf(`${first}\n${second}`), /Line 2 .*does not end with a line feed/, 2],
    ['nothing', bytesOf(''), /Line 1/, 1],
    ['bytes that are not UTF-8', Uint8Array.from([0x22, 0xff, 0x22, 0x0a]), /not UTF-8/, undefined],
  ])('with %s, although the hash is right', (_, wrong, problem, line) => {
    const read = () => parseManifest(wrong, hashOf(wrong));
    expect(read).toThrow(problem);
    try {
      read();
    } catch (error) {
      expect(error).toBeInstanceOf(ManifestCorruptError);
      expect((error as ManifestCorruptError).details.line).toBe(line);
    }
  });
});
