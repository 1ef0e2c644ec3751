import type { UploadFileRecord, UploadRecord, VerifiedFileRecord } from '@roentgen/database';
import { ConflictError, InvalidInputError, type InputIssue } from '@roentgen/domain';
import type { FinalizeDatasetInput } from './dataset.input.js';

/** A file that can be split: it has a label and a patient. */
export type LabelledFile = VerifiedFileRecord & { readonly label: string; readonly patient: string };

/** That of splitByPatient, which checks the same: here the field has the name that the caller knows. */
const FRACTION_TOLERANCE = 1e-9;

/** @throws InvalidInputError for a name or fractions that cannot be */
export function assertValidInput(input: FinalizeDatasetInput): void {
  const issues: InputIssue[] = [];
  const { train, val, test } = input.splitFractions;
  const name = input.datasetName.trim();
  if (name === '' || name.length > 200)
    issues.push({ field: 'datasetName', message: `takes 1 to 200 characters, got ${input.datasetName.length}` });
  for (const [split, fraction] of Object.entries({ train, val, test })) {
    if (!(fraction >= 0 && fraction <= 1))
      issues.push({ field: `splitFractions.${split}`, message: `must be from 0 to 1, got ${fraction}` });
  }
  const sum = train + val + test;
  if (Math.abs(sum - 1) > FRACTION_TOLERANCE) {
    issues.push({ field: 'splitFractions', message: `must sum to 1: ${train} + ${val} + ${test} = ${Number(sum.toFixed(6))}` });
  }
  if (!Number.isSafeInteger(input.splitSeed) || input.splitSeed < 0)
    issues.push({ field: 'splitSeed', message: `must be a whole number from 0, got ${input.splitSeed}` });
  if (issues.length > 0) throw new InvalidInputError(issues.map((i) => `${i.field} ${i.message}`).join('; '), issues);
}

/** @throws ConflictError unless inspection is over */
export function assertReady(upload: UploadRecord): void {
  if (upload.status === 'READY') return;
  const fix =
    upload.status === 'OPEN'
      ? 'Call completeUpload and wait until it is READY.'
      : upload.status === 'INSPECTING'
        ? 'Wait until it is READY.'
        : 'Make a new one.';
  throw new ConflictError(`Upload ${upload.id} is ${upload.status}. ${fix}`, { uploadId: upload.id, status: upload.status });
}

/** What to say when rejected files stand in the way; `rejected` may be only the first of them. */
export function rejectedFilesError(upload: UploadRecord, rejected: readonly UploadFileRecord[]): InvalidInputError {
  return new InvalidInputError(
    `${upload.rejectedCount} of ${upload.fileCount} files were rejected by inspection. Upload them again in a new upload, or leave them out (onRejected: SKIP, or roentgen import --skip-bad).`,
    rejected.map((file) => ({ field: file.fileName, message: `${file.errorCode ?? 'REJECTED'}: ${file.errorMessage ?? ''}` })),
    { rejectedCount: upload.rejectedCount },
  );
}

/** @throws InvalidInputError listing the files without label or patient */
export function assertLabelled(files: readonly VerifiedFileRecord[]): LabelledFile[] {
  if (files.length === 0)
    throw new InvalidInputError('The upload has no verified file: there is nothing to make a dataset of.', [
      { field: 'uploadId', message: 'has no verified file' },
    ]);
  const issues = files.flatMap((file) => missing(file).map((field): InputIssue => ({ field: file.fileName, message: `has no ${field}` })));
  if (issues.length > 0) {
    throw new InvalidInputError(
      `${new Set(issues.map((issue) => issue.field)).size} files lack a label or a patient; both are needed to split by patient. Upload them again with both.`,
      issues,
    );
  }
  return files.flatMap((file) =>
    file.label !== null && file.patient !== null ? [{ ...file, label: file.label, patient: file.patient }] : [],
  );
}

function missing(file: VerifiedFileRecord): string[] {
  return [...(file.label === null ? ['label'] : []), ...(file.patient === null ? ['patient'] : [])];
}
