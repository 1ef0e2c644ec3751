import {
  InvalidInputError,
  Sha256Schema,
  parseId,
  type CheckpointId,
  type PredictionJobId,
  type ProjectId,
  type RunId,
  type UploadId,
} from '@roentgen/domain';

/**
 * Where everything lies in the bucket. Only ids, numbers and hashes go into a key, never a name that a user chose. Below `staging/` lies what
 * nobody has looked at yet; a project's own things lie below `projects/<project>/`.
 */
export const objectKeys = {
  /** A file as a client sent it. `ordinal`: its place in the upload, from 0. */
  staging: (uploadId: UploadId, ordinal: number) => `staging/${parseId('upl', uploadId)}/${wholeNumber(ordinal)}`,
  /** An inspected image, named by its content. */
  image: (projectId: ProjectId, sha256: string) => `${project(projectId)}/objects/${hash(sha256)}`,
  /** Weights in our own form, named by their content. */
  weights: (projectId: ProjectId, sha256: string) => `${project(projectId)}/weights/${hash(sha256)}.safetensors`,
  manifest: (projectId: ProjectId, sha256: string) => `${project(projectId)}/manifests/${hash(sha256)}.jsonl`,
  /** The tensors; their description lies beside them, see `checkpointDescription`. */
  checkpoint: (projectId: ProjectId, runId: RunId, checkpointId: CheckpointId) =>
    `${project(projectId)}/runs/${parseId('run', runId)}/checkpoints/${parseId('ckp', checkpointId)}.safetensors`,
  /** `….json` beside the `….safetensors` of a checkpoint. */
  checkpointDescription: (checkpointKey: string) => checkpointKey.replace(/\.safetensors$/, '.json'),
  predictionsCsv: (projectId: ProjectId, jobId: PredictionJobId) => `${project(projectId)}/predictions/${parseId('pred', jobId)}.csv`,
} as const;

const project = (projectId: ProjectId) => `projects/${parseId('prj', projectId)}`;

function hash(sha256: string): string {
  if (Sha256Schema.safeParse(sha256).success) return sha256;
  throw new InvalidInputError(`"${sha256}" is not a SHA-256: expected 64 hex digits in lower case.`, [
    { field: 'sha256', message: 'expected 64 hex digits' },
  ]);
}

function wholeNumber(ordinal: number): number {
  if (Number.isSafeInteger(ordinal) && ordinal >= 0) return ordinal;
  throw new InvalidInputError(`${ordinal} is not the place of a file in an upload: expected a whole number from 0.`, [
    { field: 'ordinal', message: 'expected a whole number from 0' },
  ]);
}
