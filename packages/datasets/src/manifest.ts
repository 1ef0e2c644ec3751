import { z } from 'zod';
import { InvalidInputError, ManifestEntrySchema, RoentgenError, coerceError, type ManifestEntry } from '@roentgen/domain';
import { compareCodePoints, sha256Of } from './order.js';

/** The bytes are not the manifest that was stored, or none at all. `details.line` counts from 1 where one line is at fault. */
export class ManifestCorruptError extends RoentgenError {
  readonly code = 'MANIFEST_CORRUPT';
}

/** Fields in the order in which they are written; one that is absent is left out. */
const FIELDS = [
  'fileName',
  'sha256',
  'label',
  'patient',
  'split',
  'widthPx',
  'heightPx',
  'site',
  'view',
  'sourceSha256',
  'transform',
] as const satisfies ReadonlyArray<keyof ManifestEntry>;

/**
 * The one text of a dataset version, and its hash, which names the version: one JSON object per line, fields in a fixed order, lines sorted by
 * file name (by code point), UTF-8, each line ended by a line feed. The same entries in any order give the same bytes.
 * @throws InvalidInputError on no entries, invalid ones, or a file name that occurs twice
 */
export function encodeManifest(entries: readonly ManifestEntry[]): { bytes: Uint8Array; sha256: string } {
  if (entries.length === 0)
    throw new InvalidInputError('A manifest must have at least one entry.', [{ field: 'entries', message: 'none' }]);
  const sorted = [...entries].sort((a, b) => compareCodePoints(a.fileName, b.fileName));
  sorted.forEach((entry, i) => {
    if (entry.fileName !== sorted[i - 1]?.fileName) return;
    throw new InvalidInputError(`The file name "${entry.fileName}" occurs twice: file names must be unique within a dataset version.`, [
      { field: 'entries', message: `"${entry.fileName}" occurs twice` },
    ]);
  });
  const bytes = new TextEncoder().encode(sorted.map(encodeEntry).join(''));
  return { bytes, sha256: sha256Of(bytes) };
}

/** @throws ManifestCorruptError when the bytes have another hash, or a line is no entry or not in its place */
export function parseManifest(bytes: Uint8Array, expectedSha256: string): ManifestEntry[] {
  const actual = sha256Of(bytes);
  if (actual !== expectedSha256) {
    throw new ManifestCorruptError(
      `The manifest has the SHA-256 ${actual} instead of ${expectedSha256} (${bytes.length} bytes): the stored object was changed or cut. Restore it from a backup.`,
      { actual, expected: expectedSha256, bytes: bytes.length },
    );
  }
  const lines = decodeUtf8(bytes).split('\n');
  if (lines.pop() !== '' || lines.length === 0) throw corruptLine(lines.length + 1, 'the last line does not end with a line feed');
  const entries = lines.map((line, i) => parseLine(line, i + 1));
  entries.forEach((entry, i) => {
    const previous = entries[i - 1];
    if (previous === undefined || compareCodePoints(previous.fileName, entry.fileName) < 0) return;
    throw corruptLine(i + 1, `"${entry.fileName}" must come before "${previous.fileName}" and be there once`);
  });
  return entries;
}

/** The labels that occur, sorted by code point: a label's place here is its class index. */
export function classesOf(entries: ReadonlyArray<{ readonly label: string }>): string[] {
  return [...new Set(entries.map(({ label }) => label))].sort(compareCodePoints);
}

function encodeEntry(entry: ManifestEntry): string {
  const parsed = ManifestEntrySchema.safeParse(entry);
  if (!parsed.success) {
    const message = z.prettifyError(parsed.error);
    throw new InvalidInputError(`"${entry.fileName}" cannot be an entry of a manifest: ${message}`, [{ field: entry.fileName, message }]);
  }
  return `${JSON.stringify(parsed.data, [...FIELDS])}\n`;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (thrown) {
    throw new ManifestCorruptError('The manifest is not UTF-8 text.', { bytes: bytes.length }, { cause: coerceError(thrown) });
  }
}

function parseLine(line: string, number: number): ManifestEntry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (thrown) {
    throw corruptLine(number, coerceError(thrown).message);
  }
  const parsed = ManifestEntrySchema.safeParse(value);
  if (!parsed.success) throw corruptLine(number, z.prettifyError(parsed.error));
  return parsed.data;
}

const corruptLine = (line: number, problem: string) =>
  new ManifestCorruptError(`Line ${line} of the manifest is no valid entry: ${problem}.`, { line });
