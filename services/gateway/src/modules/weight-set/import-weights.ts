import type { ChunkStore, Queryable, UploadStore, WeightSetStore } from '@roentgen/database';
import {
  ConflictError,
  InvalidInputError,
  newId,
  parseId,
  readWebAddress,
  readWeightSetRequest,
  type Actor,
  type InputIssue,
  type ReadWeightSetRequest,
  type UploadId,
} from '@roentgen/domain';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { Repeatable } from '../repeatable.js';
import { assertOpenStatus, unknownUpload } from '../upload/upload-service.js';
import type { WeightSetService } from './weight-set-service.js';
import type { ImportWeightsInput } from './weight-set.input.js';
import type { ImportWeightsPayload } from './weight-set.type.js';

export interface ImportWeightsParts {
  readonly weightSets: WeightSetStore;
  readonly uploads: UploadStore;
  readonly chunks: ChunkStore;
  readonly weights: WeightSetService;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
}

const MAX_URL_LENGTH = 2_000;

/** Begins an import: the set's row and its chunk in one transaction. The bytes are for a worker to fetch and to look at. */
export class ImportWeights {
  constructor(private readonly parts: ImportWeightsParts) {}

  run(actor: Actor, input: ImportWeightsInput): Promise<ImportWeightsPayload> {
    return answer(async () => {
      const wanted = checkInput(input);
      const { id } = await this.parts.repeatable.once(actor, 'import_weights', input, async (tx) => {
        const set = { id: newId('wts'), projectId: actor.projectId, createdBy: actor.tokenId, ...wanted };
        if (wanted.uploadId !== null) await this.takeUpload(tx, actor, wanted.uploadId);
        if (!(await this.parts.weightSets.create(tx, set))) throw takenName(wanted.name);
        await this.parts.chunks.createImportChunk(tx, { projectId: actor.projectId, weightSetId: set.id });
        return set.id;
      });
      this.parts.announcer.wake('chunks-created');
      return { weightSet: await this.parts.weights.read(actor, id) };
    });
  }

  /** From here on the upload is this import's. @throws NotFoundError, ConflictError */
  private async takeUpload(tx: Queryable, actor: Actor, uploadId: UploadId): Promise<void> {
    const { uploads } = this.parts;
    const upload = await uploads.lock(tx, actor.projectId, uploadId);
    if (upload === null) throw unknownUpload(uploadId);
    if (upload.purpose !== 'WEIGHTS') {
      throw new ConflictError(`Upload ${uploadId} is for ${upload.purpose}: make one with createUpload(input: { purpose: WEIGHTS }).`, {
        uploadId,
      });
    }
    assertOpenStatus(uploadId, upload.status);
    if ((await uploads.countFilesIn(tx, uploadId)) !== 1) {
      throw new InvalidInputError(`Upload ${uploadId} has no file. Name it with addUploadFiles and send it first.`, [
        { field: 'uploadId', message: 'has no file' },
      ]);
    }
    await uploads.complete(tx, uploadId, 'INSPECTING');
  }
}

/** @throws InvalidInputError with everything that is wrong */
function checkInput(input: ImportWeightsInput) {
  const [url, catalogueName] = [text(input.url), text(input.catalogueName)];
  const { issues: aboutSet, ...set } = readWeightSetRequest(input);
  const issues = [...aboutSet, ...sourceIssues(input.uploadId ?? null, url, catalogueName)];
  const [first] = issues;
  if (first)
    throw new InvalidInputError(
      `No weights are imported: ${issues.map(({ field, message }) => `${field} ${message}`).join('; ')}.`,
      issues,
    );
  const uploadId = input.uploadId == null ? null : parseId('upl', input.uploadId, 'uploadId');
  return { ...set, uploadId, url, catalogueName } satisfies Wanted;
}

interface Wanted extends Omit<ReadWeightSetRequest, 'issues'> {
  readonly uploadId: UploadId | null;
  readonly url: string | null;
  readonly catalogueName: string | null;
}

function sourceIssues(uploadId: string | null, url: string | null, catalogueName: string | null): InputIssue[] {
  if (uploadId !== null && url !== null) return [{ field: 'url', message: 'and uploadId are both given: name one' }];
  if (uploadId === null && url === null && catalogueName === null) {
    return [{ field: 'uploadId', message: 'is missing, and so are url and catalogueName: name where the file is' }];
  }
  if (url === null) return [];
  const parsed = readWebAddress(url);
  if (url.length > MAX_URL_LENGTH || parsed === null) {
    return [
      {
        field: 'url',
        message: `"${url.slice(0, 100)}" is no address of at most ${MAX_URL_LENGTH} characters that begins with http:// or https://, with two hex digits behind each %`,
      },
    ];
  }
  // It is shown to everyone who reads the set.
  return parsed.username === '' && parsed.password === ''
    ? []
    : [{ field: 'url', message: 'holds a user or a password: import the file from disk' }];
}

function text(value: string | null | undefined): string | null {
  const trimmed = value?.trim() ?? '';
  return trimmed === '' ? null : trimmed;
}

function takenName(name: string): ConflictError {
  return new ConflictError(`There is a weight set "${name}" in this project already. Choose another name; weightSets lists them.`, {
    name,
  });
}
