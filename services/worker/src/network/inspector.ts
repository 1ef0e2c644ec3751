import type { InspectedImage, ObjectStore, ProjectId } from '@roentgen/domain';
import { inspectImage } from '@roentgen/imaging';
import type { Logger } from '@roentgen/logger';
import type { ChunkOutcome, InspectChunkWork, InspectedFile } from '@roentgen/protocol';
import { ObjectNotFoundError, objectKeys } from '@roentgen/storage';
import { Limiter } from './limiter.js';
import { patiently, type PatientOptions } from './patience.js';

export interface InspectorOptions {
  readonly store: Pick<ObjectStore, 'get' | 'stat' | 'put'>;
  readonly logger: Logger;
  readonly concurrency: number;
  /** @see PatientOptions.inHurry */
  readonly inHurry?: () => boolean;
}

type File = InspectChunkWork['files'][number];

/** Looks at uploaded files: whole, of the size that was announced, and images. Those that are get their place by content; the others their reason. */
export class Inspector {
  private readonly limiter: Limiter;
  private readonly patience: PatientOptions;

  constructor(private readonly options: InspectorOptions) {
    const { logger, inHurry } = options;
    this.patience = { logger, ...(inHurry && { inHurry }) };
    this.limiter = new Limiter(options.concurrency);
  }

  /** @throws UnavailableError when the store is away for too long; a file that is bad is an answer, not an error */
  async inspect(work: InspectChunkWork): Promise<ChunkOutcome> {
    const files = await Promise.all(work.files.map((file) => this.limiter.run(() => this.inspectFile(work.projectId, file))));
    return { kind: 'inspected', files };
  }

  private async inspectFile(projectId: ProjectId, file: File): Promise<InspectedFile> {
    const { store } = this.options;
    const { patience } = this;
    const stored = await patiently(`look at ${file.fileName}`, () => store.stat(file.stagingKey), patience);
    if (stored === null)
      return rejected(file, 'NOT_UPLOADED', `${file.fileName} was announced but not uploaded: upload it and complete again.`);
    // Compared before the download: a file that is larger than announced may be larger than this process can hold.
    if (stored.bytes !== file.declaredBytes) {
      return rejected(
        file,
        'SIZE_MISMATCH',
        `${file.fileName} has ${stored.bytes} bytes, announced were ${file.declaredBytes}: upload it again.`,
      );
    }
    try {
      const bytes = await patiently(`download of ${file.fileName}`, () => store.get(file.stagingKey), patience);
      const inspected = await inspectImage(bytes);
      if (!inspected.ok) return rejected(file, inspected.error.code, inspected.error.message);
      if (file.declaredSha256 !== null && inspected.image.sha256 !== file.declaredSha256) {
        return rejected(
          file,
          'HASH_MISMATCH',
          `${file.fileName} has the SHA-256 ${inspected.image.sha256}, announced was ${file.declaredSha256}: it changed on the way or on the disk. Import it again.`,
        );
      }
      await this.keep(projectId, file, bytes, inspected.image);
      return { ordinal: file.ordinal, image: inspected.image, error: null };
    } catch (error) {
      if (!(error instanceof ObjectNotFoundError)) throw error;
      return rejected(file, 'NOT_UPLOADED', `${file.fileName} disappeared from the store while it was inspected: upload it again.`);
    }
  }

  /** Stores the very bytes that were hashed: the staging object can still be overwritten by whoever holds its URL. */
  private async keep(projectId: ProjectId, file: File, bytes: Uint8Array, image: InspectedImage): Promise<void> {
    const { store } = this.options;
    const key = objectKeys.image(projectId, image.sha256);
    await patiently(
      `keeping of ${file.fileName}`,
      async () => ((await store.stat(key)) === null ? store.put(key, bytes, `image/${image.format}`) : undefined),
      this.patience,
    );
  }
}

const rejected = (file: File, code: string, message: string): InspectedFile => ({
  ordinal: file.ordinal,
  image: null,
  error: { code, message },
});
