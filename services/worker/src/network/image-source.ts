import type { ObjectStore, ProjectId } from '@roentgen/domain';
import { decodeForModel } from '@roentgen/imaging';
import { objectKeys } from '@roentgen/storage';
import { ObjectCorruptError } from '../errors.js';
import type { DecodedCache } from './decoded-cache.js';
import type { Limiter } from './limiter.js';
import { downloadVerified } from './objects.js';
import type { PatientOptions } from './patience.js';

/** A verified image of a project. */
export interface StoredImage {
  readonly projectId: ProjectId;
  readonly sha256: string;
  readonly fileName: string;
}

/** Images out of the object store as the model sees them, a bounded number at a time. */
export class ImageSource {
  constructor(
    private readonly store: Pick<ObjectStore, 'get'>,
    private readonly cache: DecodedCache,
    private readonly limiter: Limiter,
  ) {}

  /**
   * `[sizePx, sizePx, 3]` RGB bytes, kept for the next epoch where there is room. Not to be changed.
   * @throws ObjectMissingError, ObjectCorruptError, UnavailableError
   */
  async pixels(image: StoredImage, sizePx: number, options: PatientOptions): Promise<Uint8Array> {
    const known = this.cache.get(image.sha256, sizePx);
    if (known) return known;
    const pixels = await this.decode(image, sizePx, options);
    this.cache.add(image.sha256, sizePx, pixels);
    return pixels;
  }

  /** Like `pixels`, for an image that is needed once. */
  decode(image: StoredImage, sizePx: number, options: PatientOptions): Promise<Uint8Array> {
    return this.limiter.run(async () => {
      const key = objectKeys.image(image.projectId, image.sha256);
      const bytes = await downloadVerified(this.store, { key, sha256: image.sha256, what: image.fileName }, options);
      try {
        return await decodeForModel(bytes, sizePx);
      } catch (cause) {
        // It decoded when it was inspected, so this is no user's mistake.
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new ObjectCorruptError(
          `${image.fileName}: the object ${key} does not decode any more: ${reason}`,
          { key, ...image },
          { cause },
        );
      }
    });
  }

  /** Makes room for the images of the next run. */
  retain(images: readonly StoredImage[], sizePx: number): void {
    this.cache.retain(new Set(images.map(({ sha256 }) => sha256)), sizePx);
  }
}
