import { Readable } from 'node:stream';
import type { ObjectStore } from '@roentgen/domain';
import { ObjectNotFoundError } from '@roentgen/storage';

/** The part of an object store that a worker uses, for tests of what the worker does with what it finds. */
export class MemoryStore implements Pick<ObjectStore, 'get' | 'stream' | 'put' | 'stat'> {
  readonly objects = new Map<string, Buffer>();

  async get(key: string): Promise<Buffer> {
    const found = this.objects.get(key);
    if (found) return await Promise.resolve(found);
    throw new ObjectNotFoundError(`There is no object "${key}".`, { key });
  }

  async stream(key: string): Promise<Readable> {
    return Readable.from([await this.get(key)]);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await Promise.resolve(this.objects.set(key, Buffer.from(bytes)));
  }

  async stat(key: string): Promise<{ bytes: number } | null> {
    const found = this.objects.get(key);
    return await Promise.resolve(found ? { bytes: found.length } : null);
  }
}
