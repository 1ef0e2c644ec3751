import { InvalidInputError, MAX_WEIGHTS_FILE_BYTES, type InputIssue, type UploadPurpose } from '@roentgen/domain';
import type { NewUploadFile } from '@roentgen/database';
import type { UploadFileInput } from './upload.input.js';

export const MAX_FILES_PER_CALL = 500;
export const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** What the files of an upload may be. */
export interface FileLimits {
  readonly what: string;
  readonly bytes: number;
  readonly bytesText: string;
}

export const FILE_LIMITS: Readonly<Record<UploadPurpose, FileLimits>> = {
  IMAGES: { what: 'image', bytes: MAX_FILE_BYTES, bytesText: '64 MiB' },
  WEIGHTS: { what: 'weight file', bytes: MAX_WEIGHTS_FILE_BYTES, bytesText: '1 GiB' },
};
const MAX_TEXT_LENGTH = 1_024;
const TEXT_FIELDS = ['label', 'patient', 'site', 'view'] as const;

/** The files of one call as they are stored. @throws InvalidInputError with everything that is wrong with any of them */
export function checkFiles(files: readonly UploadFileInput[], limits: FileLimits = FILE_LIMITS.IMAGES): NewUploadFile[] {
  if (files.length < 1 || files.length > MAX_FILES_PER_CALL) {
    throw new InvalidInputError(`${files.length} files in one call; it takes 1 to ${MAX_FILES_PER_CALL}. Send them in several calls.`, [
      { field: 'files', message: `takes 1 to ${MAX_FILES_PER_CALL} files, got ${files.length}` },
    ]);
  }
  const issues = files.flatMap((file, i) => issuesOf(file, `files[${i}]`, limits));
  issues.push(...repeatedNames(files));
  if (issues.length > 0) throw refused(issues);
  return files.map((file) => ({
    fileName: file.fileName,
    bytes: file.bytes,
    sha256: file.sha256?.toLowerCase() ?? null,
    label: text(file.label),
    patient: text(file.patient),
    site: text(file.site),
    view: text(file.view),
  }));
}

/** @throws InvalidInputError naming each file whose name the upload has already */
export function assertNamesFree(files: readonly NewUploadFile[], taken: readonly string[]): void {
  if (taken.length === 0) return;
  const names = new Set(taken);
  throw refused(
    files.flatMap((file, i) =>
      names.has(file.fileName)
        ? [{ field: `files[${i}].fileName`, message: `"${file.fileName}" is already in this upload: leave it out or rename it` }]
        : [],
    ),
  );
}

function issuesOf(file: UploadFileInput, path: string, limits: FileLimits): InputIssue[] {
  const issues: InputIssue[] = [];
  const name = JSON.stringify(file.fileName.slice(0, 100));
  if (file.fileName === '' || file.fileName.length > MAX_TEXT_LENGTH) {
    issues.push({ field: `${path}.fileName`, message: `takes 1 to ${MAX_TEXT_LENGTH} characters, got ${file.fileName.length}` });
  } else if (hasControlCharacter(file.fileName)) {
    issues.push({ field: `${path}.fileName`, message: `${name} contains a control character: rename the file` });
  }
  if (file.bytes < 1)
    issues.push({ field: `${path}.bytes`, message: `${name} has ${file.bytes} bytes: an empty file is no ${limits.what}, leave it out` });
  if (file.bytes > limits.bytes)
    issues.push({
      field: `${path}.bytes`,
      message: `${name} has ${file.bytes} bytes; at most ${limits.bytes} (${limits.bytesText}) are taken`,
    });
  if (file.sha256 != null && !/^[0-9a-f]{64}$/i.test(file.sha256)) {
    issues.push({
      field: `${path}.sha256`,
      message: `"${file.sha256.slice(0, 80)}" is no SHA-256: expected 64 hex digits, or leave it out`,
    });
  }
  for (const field of TEXT_FIELDS) {
    const value = file[field];
    if (value != null && (value.length > MAX_TEXT_LENGTH || hasControlCharacter(value))) {
      issues.push({ field: `${path}.${field}`, message: `takes at most ${MAX_TEXT_LENGTH} characters without control characters` });
    }
  }
  return issues;
}

function repeatedNames(files: readonly UploadFileInput[]): InputIssue[] {
  const first = new Map<string, number>();
  return files.flatMap(({ fileName }, i) => {
    const earlier = first.get(fileName);
    if (earlier === undefined) {
      first.set(fileName, i);
      return [];
    }
    return [{ field: `files[${i}].fileName`, message: `"${fileName}" is also files[${earlier}]: names must be unique in an upload` }];
  });
}

function refused(issues: readonly InputIssue[]): InvalidInputError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  return new InvalidInputError(`No file was added: ${first?.field ?? 'files'}: ${first?.message ?? ''}${more}.`, issues);
}

function text(value: string | null | undefined): string | null {
  const trimmed = value?.trim() ?? '';
  return trimmed === '' ? null : trimmed;
}

// Postgres cannot hold NUL in a text, and the others only serve to deceive whoever reads a list.
const hasControlCharacter = (value: string): boolean => /\p{Cc}/u.test(value);
