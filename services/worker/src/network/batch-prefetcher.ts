import { AttemptEndedError } from '../errors.js';
import { deferred, type Deferred } from './deferred.js';
import type { Slot, SlotRing } from './slot-ring.js';

export interface BatchPrefetcherOptions<Batch> {
  readonly ring: SlotRing;
  /** First batch, and the one after the last. */
  readonly first: number;
  readonly end: number;
  readonly fill: (index: number, slot: Slot) => Promise<Batch>;
}

/** Fills batches in order, as far ahead as the ring has slots. A batch that cannot be filled fails the one who asks for it, not the ones before. */
export class BatchPrefetcher<Batch> {
  private readonly batches = new Map<number, Deferred<Batch>>();
  private closed = false;

  constructor(private readonly options: BatchPrefetcherOptions<Batch>) {
    void this.fillAhead();
  }

  /** The batch, as soon as it is filled; each is given out once. */
  async take(index: number): Promise<Batch> {
    if (this.closed) throw ended();
    const batch = this.batch(index);
    try {
      return await batch.promise;
    } finally {
      this.batches.delete(index);
    }
  }

  /** Fails everyone who waits for a batch that is not filled yet. */
  close(): void {
    this.closed = true;
    this.options.ring.close();
    this.batches.forEach((batch) => batch.reject(ended()));
  }

  private async fillAhead(): Promise<void> {
    const { ring, first, end, fill } = this.options;
    for (let index = first; index < end; index++) {
      const slot = await ring.acquire();
      if (slot === null) return;
      this.batch(index).resolve(fill(index, slot));
    }
  }

  private batch(index: number): Deferred<Batch> {
    const known = this.batches.get(index);
    if (known) return known;
    const added = deferred<Batch>();
    this.batches.set(index, added);
    return added;
  }
}

const ended = () => new AttemptEndedError('the attempt has ended: its images are not loaded any more.');
