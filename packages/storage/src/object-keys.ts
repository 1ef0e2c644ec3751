import {
  InvalidInputError,
  Sha256Schema,
  isId,
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
  /** What all keys of a project begin with, except those below `staging/`. */
  projectPrefix: (projectId: ProjectId) => `${project(projectId)}/`,
  /** What all keys of files that nobody has looked at yet begin with. */
  stagingPrefix: 'staging/',
  predictionsCsv: (projectId: ProjectId, jobId: PredictionJobId) => `${project(projectId)}/predictions/${parseId('pred', jobId)}.csv`,
} as const;

/** What a key names. */
export type ObjectName =
  | { readonly kind: 'staging'; readonly uploadId: UploadId; readonly ordinal: number }
  | { readonly kind: 'image' | 'weights' | 'manifest'; readonly projectId: ProjectId; readonly sha256: string }
  | {
      readonly kind: 'checkpoint' | 'checkpoint-description';
      readonly projectId: ProjectId;
      readonly runId: RunId;
      readonly checkpointId: CheckpointId;
    }
  | { readonly kind: 'predictions'; readonly projectId: ProjectId; readonly jobId: PredictionJobId };

const CONTENT_KINDS = [
  { kind: 'image', form: /^objects\/([0-9a-f]{64})$/ },
  { kind: 'weights', form: /^weights\/([0-9a-f]{64})\.safetensors$/ },
  { kind: 'manifest', form: /^manifests\/([0-9a-f]{64})\.jsonl$/ },
] as const;

/** The opposite of `objectKeys`; null for a key that none of them gives. */
export function parseObjectKey(key: string): ObjectName | null {
  const [, uploadId, ordinal] = /^staging\/([^/]+)\/(0|[1-9]\d{0,14})$/.exec(key) ?? [];
  if (uploadId !== undefined) return isId('upl', uploadId) ? { kind: 'staging', uploadId, ordinal: Number(ordinal) } : null;
  const [, projectId, rest] = /^projects\/([^/]+)\/(.+)$/.exec(key) ?? [];
  if (projectId === undefined || rest === undefined || !isId('prj', projectId)) return null;
  for (const { kind, form } of CONTENT_KINDS) {
    const sha256 = form.exec(rest)?.[1];
    if (sha256 !== undefined) return { kind, projectId, sha256 };
  }
  return parseCheckpoint(projectId, rest) ?? parsePredictions(projectId, rest);
}

function parseCheckpoint(projectId: ProjectId, rest: string): ObjectName | null {
  const [, runId, checkpointId, ending] = /^runs\/([^/]+)\/checkpoints\/([^/]+)\.(safetensors|json)$/.exec(rest) ?? [];
  if (runId === undefined || checkpointId === undefined || !isId('run', runId) || !isId('ckp', checkpointId)) return null;
  return { kind: ending === 'json' ? 'checkpoint-description' : 'checkpoint', projectId, runId, checkpointId };
}

function parsePredictions(projectId: ProjectId, rest: string): ObjectName | null {
  const jobId = /^predictions\/([^/]+)\.csv$/.exec(rest)?.[1];
  return jobId !== undefined && isId('pred', jobId) ? { kind: 'predictions', projectId, jobId } : null;
}

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
