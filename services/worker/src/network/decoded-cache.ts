/**
 * Decoded images by content and size, up to a number of bytes. What came first stays: every epoch asks for each image once, in a new
 * order, and dropping the least recently used one then mostly drops what is asked for next.
 */
export class DecodedCache {
  private readonly images = new Map<string, Uint8Array>();
  private usedBytes = 0;

  /** @param onLookup told of each look, and whether it found something */
  constructor(
    private readonly limitBytes: number,
    private readonly onLookup: (found: boolean) => void = () => undefined,
  ) {}

  get bytes(): number {
    return this.usedBytes;
  }

  get(sha256: string, sizePx: number): Uint8Array | undefined {
    const pixels = this.images.get(key(sha256, sizePx));
    this.onLookup(pixels !== undefined);
    return pixels;
  }

  /** Keeps the image if there is room for it. */
  add(sha256: string, sizePx: number, pixels: Uint8Array): void {
    const name = key(sha256, sizePx);
    if (this.images.has(name) || this.usedBytes + pixels.byteLength > this.limitBytes) return;
    this.images.set(name, pixels);
    this.usedBytes += pixels.byteLength;
  }

  /** Drops everything that the next run does not read, to make room for what it does. */
  retain(sha256s: ReadonlySet<string>, sizePx: number): void {
    const wanted = new Set([...sha256s].map((sha256) => key(sha256, sizePx)));
    for (const [name, pixels] of this.images) {
      if (wanted.has(name)) continue;
      this.images.delete(name);
      this.usedBytes -= pixels.byteLength;
    }
  }
}

const key = (sha256: string, sizePx: number) => `${sha256}@${sizePx}`;
