import { BatchTooLargeError } from '../errors.js';
import type { SharedMicroBatch } from '../rpc.js';

/** What one slot has to hold. */
export interface SlotShape {
  readonly microBatches: number;
  /** Images per micro-batch. */
  readonly microBatchSize: number;
  /** Bytes of one decoded image: size² × 3. */
  readonly imageBytes: number;
}

/** The arrays of one micro-batch in a slot, all in shared memory. */
export type SlotArrays = Pick<SharedMicroBatch, 'images' | 'labels' | 'weights'>;

export interface Slot {
  readonly index: number;
  readonly microBatches: readonly SlotArrays[];
}

/** TensorFlow reads a feed in place only at this alignment, and copies it otherwise. */
const ALIGNMENT_BYTES = 64;
const WASM_PAGE_BYTES = 65_536;
/** 4 GiB. */
const WASM_MAX_PAGES = 65_536;

// Node has WebAssembly, the type definitions of Node 20 do not. Its shared memory starts at a page; that of a SharedArrayBuffer at 16 bytes.
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer };
};

/**
 * A fixed number of slots in shared memory, so that a run allocates its batches once. `acquire` waits until one is free; whoever fills it hands
 * it to the compute thread, which gives it back by `releaseSlot` (rpc.ts). Messages order the accesses of the two threads, so no lock is needed.
 */
export class SlotRing {
  private readonly slots: readonly Slot[];
  private readonly free: Slot[];
  private readonly waiting: ((slot: Slot | null) => void)[] = [];
  private closed = false;

  /** @throws BatchTooLargeError when the slots need more than 4 GiB together */
  constructor(count: number, shape: SlotShape) {
    const { buffer, slots } = allocate(count, shape);
    this.memory = buffer;
    this.slots = slots;
    this.free = [...slots];
  }

  readonly memory: SharedArrayBuffer;

  /** A slot that belongs to the caller until `release`; null once the ring is closed. First come, first served. */
  async acquire(): Promise<Slot | null> {
    if (this.closed) return null;
    return this.free.shift() ?? (await new Promise<Slot | null>((resolve) => this.waiting.push(resolve)));
  }

  /** @throws RangeError when the slot is not one that was acquired: two owners of one slot would train on mixed images */
  release(index: number): void {
    const slot = this.slots[index];
    if (slot === undefined || this.free.includes(slot))
      throw new RangeError(`slot ${index} is not in use: there are ${this.slots.length}, and each is released once.`);
    const next = this.waiting.shift();
    if (next) next(slot);
    else this.free.push(slot);
  }

  /** Wakes everyone who waits; slots that are in use stay valid. */
  close(): void {
    this.closed = true;
    this.waiting.splice(0).forEach((resolve) => resolve(null));
  }
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

function allocate(count: number, shape: SlotShape): { buffer: SharedArrayBuffer; slots: Slot[] } {
  const imagesBytes = aligned(shape.microBatchSize * shape.imageBytes);
  const rowBytes = aligned(shape.microBatchSize * Int32Array.BYTES_PER_ELEMENT);
  const microBatchBytes = imagesBytes + 2 * rowBytes;
  const pages = Math.ceil((count * shape.microBatches * microBatchBytes) / WASM_PAGE_BYTES);
  if (pages > WASM_MAX_PAGES) {
    const images = shape.microBatches * shape.microBatchSize;
    throw new BatchTooLargeError(
      `${count} batches of ${images} images need ${count * shape.microBatches * microBatchBytes} bytes, at most ${WASM_MAX_PAGES * WASM_PAGE_BYTES} can be held: ` +
        'use a smaller globalBatchSize or imageSizePx, or a smaller WORKER_PREFETCH_BATCHES on the workers.',
      { count, ...shape },
    );
  }
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const arraysAt = (offset: number): SlotArrays => ({
    images: new Uint8Array(buffer, offset, shape.microBatchSize * shape.imageBytes),
    labels: new Int32Array(buffer, offset + imagesBytes, shape.microBatchSize),
    weights: new Float32Array(buffer, offset + imagesBytes + rowBytes, shape.microBatchSize),
  });
  const slots = Array.from({ length: count }, (_, index) => ({
    index,
    microBatches: Array.from({ length: shape.microBatches }, (_row, m) => arraysAt((index * shape.microBatches + m) * microBatchBytes)),
  }));
  return { buffer, slots };
}
