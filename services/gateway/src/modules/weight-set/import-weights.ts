import type { ChunkStore, Queryable, UploadStore, WeightSetStore } from '@roentgen/database';
import {
  ConflictError,
  EFFICIENTNET_VARIANT_NAMES,
  InvalidInputError,
  MAX_WEIGHT_SET_NAME_LENGTH,
  WEIGHT_LIBRARIES,
  newId,
  parseId,
  parseVariantName,
  type Actor,
  type EfficientNetVariant,
  type InputIssue,
  type UploadId,
  type WeightLibrary,
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
  const name = input.name.trim();
  const [url, catalogueName] = [text(input.url), text(input.catalogueName)];
  const variant = input.variant == null ? null : parseVariantName(input.variant);
  const library = input.library == null ? null : (WEIGHT_LIBRARIES.find((known) => known === input.library) ?? null);
  const issues = [
    ...nameIssues(name),
    ...sourceIssues(input.uploadId ?? null, url, catalogueName),
    ...unknownWord('variant', input.variant, variant, EFFICIENTNET_VARIANT_NAMES),
    ...unknownWord('library', input.library, library, WEIGHT_LIBRARIES),
  ];
  if (input.sha256 != null && !/^[0-9a-f]{64}$/i.test(input.sha256)) {
    issues.push({ field: 'sha256', message: `"${input.sha256.slice(0, 80)}" is no SHA-256: expected 64 hex digits, or leave it out` });
  }
  const [first] = issues;
  if (first)
    throw new InvalidInputError(
      `No weights are imported: ${issues.map(({ field, message }) => `${field} ${message}`).join('; ')}.`,
      issues,
    );
  const uploadId = input.uploadId == null ? null : parseId('upl', input.uploadId, 'uploadId');
  return { name, uploadId, url, catalogueName, variant, library, sha256: input.sha256?.toLowerCase() ?? null } satisfies Wanted;
}

interface Wanted {
  readonly name: string;
  readonly uploadId: UploadId | null;
  readonly url: string | null;
  readonly catalogueName: string | null;
  readonly variant: EfficientNetVariant | null;
  readonly library: WeightLibrary | null;
  readonly sha256: string | null;
}

function nameIssues(name: string): InputIssue[] {
  const issue = (message: string) => [{ field: 'name', message }];
  if (name === '' || name.length > MAX_WEIGHT_SET_NAME_LENGTH) {
    return issue(`takes 1 to ${MAX_WEIGHT_SET_NAME_LENGTH} characters, got ${name.length}`);
  }
  if (/\p{Cc}/u.test(name)) return issue('contains a control character');
  // A recipe names weights by name or id.
  return name.startsWith('wts_') ? issue(`"${name}" looks like an id: choose one that does not begin with wts_`) : [];
}

function sourceIssues(uploadId: string | null, url: string | null, catalogueName: string | null): InputIssue[] {
  if (uploadId !== null && url !== null) return [{ field: 'url', message: 'and uploadId are both given: name one' }];
  if (uploadId === null && url === null && catalogueName === null) {
    return [{ field: 'uploadId', message: 'is missing, and so are url and catalogueName: name where the file is' }];
  }
  if (url === null) return [];
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (url.length > MAX_URL_LENGTH || parsed === null || !/^https?:$/.test(parsed.protocol)) {
    return [
      {
        field: 'url',
        message: `"${url.slice(0, 100)}" is no address of at most ${MAX_URL_LENGTH} characters that begins with http:// or https://`,
      },
    ];
  }
  // It is shown to everyone who reads the set.
  return parsed.username === '' && parsed.password === ''
    ? []
    : [{ field: 'url', message: 'holds a user or a password: import the file from disk' }];
}

function unknownWord(field: string, given: string | null | undefined, parsed: string | null, words: readonly string[]): InputIssue[] {
  if (given == null || parsed !== null) return [];
  return [{ field, message: `"${given.slice(0, 100)}" is none of ${words.join(', ')}` }];
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
