import type { AddedFile, ChunkStore, LockedUpload, Queryable, UploadFileRecord, UploadRecord, UploadStore } from '@roentgen/database';
import {
  ConflictError,
  InvalidInputError,
  NotFoundError,
  newId,
  parseId,
  type Actor,
  type ObjectStore,
  type UploadFileStatus,
  type UploadId,
  type UploadStatus,
} from '@roentgen/domain';
import { objectKeys } from '@roentgen/storage';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { Repeatable } from '../repeatable.js';
import { FILE_LIMITS, assertNamesFree, checkFiles } from './file-checks.js';
import type { AddUploadFilesInput, CompleteUploadInput, CreateUploadInput } from './upload.input.js';
import type { AddUploadFilesPayload, CompleteUploadPayload, CreateUploadPayload, UploadTargetType } from './upload.type.js';

const UPLOAD_EXPIRES_IN_HOURS = 72;
const UPLOAD_URL_EXPIRES_IN_SECONDS = 3_600;
const INSPECTION_CHUNK_SIZE = 32;

/** Files on their way in. Bytes never pass here: clients get signed URLs. */
export class UploadService {
  constructor(
    private readonly uploads: UploadStore,
    private readonly chunks: ChunkStore,
    private readonly store: ObjectStore,
    private readonly announcer: Announcer,
    private readonly repeatable: Repeatable,
  ) {}

  /** @throws NotFoundError, InvalidInputError */
  async read(actor: Actor, id: string): Promise<UploadRecord> {
    const uploadId = parseId('upl', id);
    const upload = await this.uploads.find(actor.projectId, uploadId);
    if (upload === null) throw unknownUpload(uploadId);
    return upload;
  }

  /** @throws NotFoundError, InvalidInputError */
  async files(actor: Actor, id: string, status: UploadFileStatus | null, args: PageArgs): Promise<Connection<UploadFileRecord>> {
    const upload = await this.read(actor, id);
    const page = await this.uploads.listFiles(actor.projectId, upload.id, status, pageRequest(args));
    return toConnection(
      page,
      (file) => file,
      () => this.uploads.countFiles(actor.projectId, upload.id, status),
    );
  }

  create(actor: Actor, input: CreateUploadInput): Promise<CreateUploadPayload> {
    return answer(async () => {
      const { id } = await this.repeatable.once(actor, 'create_upload', input, async (tx) => {
        const { projectId, tokenId: createdBy } = actor;
        const id = newId('upl');
        await this.uploads.create(tx, { id, projectId, purpose: input.purpose, createdBy, expiresInHours: UPLOAD_EXPIRES_IN_HOURS });
        return id;
      });
      return { upload: await this.read(actor, id) };
    });
  }

  addFiles(actor: Actor, input: AddUploadFilesInput): Promise<AddUploadFilesPayload> {
    return answer(async () => {
      const uploadId = parseId('upl', input.uploadId, 'uploadId');
      const { purpose } = await this.read(actor, input.uploadId);
      const files = checkFiles(input.files, FILE_LIMITS[purpose]);
      await this.repeatable.once(actor, 'add_upload_files', input, async (tx) => {
        await this.assertOpen(tx, actor, uploadId);
        if (purpose === 'WEIGHTS') await this.assertOnlyFile(tx, uploadId, files.length);
        assertNamesFree(
          files,
          await this.uploads.takenNames(
            tx,
            uploadId,
            files.map((file) => file.fileName),
          ),
        );
        await this.uploads.addFiles(tx, actor.projectId, uploadId, files);
        return uploadId;
      });
      const names = files.map((file) => file.fileName);
      const added = new Map((await this.uploads.filesByName(actor.projectId, uploadId, names)).map((file) => [file.fileName, file]));
      const targets = names.flatMap((name) => added.get(name) ?? []).map((file) => this.target(uploadId, file));
      return { upload: await this.read(actor, uploadId), files: await Promise.all(targets) };
    });
  }

  /** Whether the bytes have arrived and are what they should be is for the workers to find out; here only the state is looked at. */
  complete(actor: Actor, input: CompleteUploadInput): Promise<CompleteUploadPayload> {
    return answer(async () => {
      const uploadId = parseId('upl', input.uploadId, 'uploadId');
      await this.repeatable.once(actor, 'complete_upload', input, async (tx) => {
        const { status, purpose } = await this.lock(tx, actor, uploadId);
        if (purpose === 'WEIGHTS') throw notImages(uploadId);
        // Whoever calls twice gets what the first call did.
        if (status === 'INSPECTING' || status === 'READY') return uploadId;
        assertOpenStatus(uploadId, status);
        await this.beginInspection(tx, actor, uploadId);
        return uploadId;
      });
      this.announcer.wake('chunks-created');
      return { upload: await this.read(actor, uploadId) };
    });
  }

  private async beginInspection(tx: Queryable, actor: Actor, uploadId: UploadId): Promise<void> {
    const { projectId } = actor;
    if ((await this.uploads.countFilesIn(tx, uploadId)) === 0) {
      throw new InvalidInputError(`Upload ${uploadId} has no files. Add some with addUploadFiles first.`, [
        { field: 'uploadId', message: 'has no files' },
      ]);
    }
    const chunks = await this.chunks.createInspectionChunks(tx, { projectId, uploadId, chunkSize: INSPECTION_CHUNK_SIZE });
    await this.uploads.complete(tx, uploadId, chunks === 0 ? 'READY' : 'INSPECTING');
  }

  private async assertOpen(tx: Queryable, actor: Actor, uploadId: UploadId): Promise<void> {
    assertOpenStatus(uploadId, (await this.lock(tx, actor, uploadId)).status);
  }

  private async lock(tx: Queryable, actor: Actor, uploadId: UploadId): Promise<LockedUpload> {
    const upload = await this.uploads.lock(tx, actor.projectId, uploadId);
    if (upload === null) throw unknownUpload(uploadId);
    return upload;
  }

  private async assertOnlyFile(tx: Queryable, uploadId: UploadId, added: number): Promise<void> {
    const count = (await this.uploads.countFilesIn(tx, uploadId)) + added;
    if (count === 1) return;
    throw new InvalidInputError(`Upload ${uploadId} of WEIGHTS would have ${count} files; it takes one. Make an upload for each.`, [
      { field: 'files', message: `an upload of WEIGHTS takes 1 file, not ${count}` },
    ]);
  }

  private async target(uploadId: UploadId, file: AddedFile): Promise<UploadTargetType> {
    const { ordinal, fileName } = file;
    const alreadyStored = file.status === 'VERIFIED';
    const uploadUrl = alreadyStored
      ? null
      : await this.store.presignPut(objectKeys.staging(uploadId, ordinal), UPLOAD_URL_EXPIRES_IN_SECONDS);
    return { ordinal, fileName, alreadyStored, uploadUrl };
  }
}

function notImages(uploadId: UploadId): ConflictError {
  return new ConflictError(`Upload ${uploadId} is for WEIGHTS: workers look at its file when importWeights is given it.`, { uploadId });
}

export function assertOpenStatus(uploadId: UploadId, status: UploadStatus): void {
  if (status === 'OPEN') return;
  throw new ConflictError(`Upload ${uploadId} is ${status}: files are taken only while it is OPEN. Make a new upload with createUpload.`, {
    uploadId,
    status,
  });
}

export function unknownUpload(id: UploadId): NotFoundError {
  return new NotFoundError(`There is no upload ${id} in this project.`, { uploadId: id });
}
