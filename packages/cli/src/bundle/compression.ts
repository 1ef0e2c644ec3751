import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

export const COMPRESSIONS = ['best', 'fast'] as const;
/** `best` is brotli's highest level, as small as xz and slow; `fast` is for trying things out. */
export type Compression = (typeof COMPRESSIONS)[number];

const BROTLI_QUALITY: Readonly<Record<Compression, number>> = { best: 11, fast: 3 };
const GZIP_LEVEL: Readonly<Record<Compression, number>> = { best: 9, fast: 1 };
const OUTPUT_CHUNK_BYTES = 2 ** 20;
/** libuv has four threads, and a frame takes some 300 MB while it is compressed. */
const MAX_CONCURRENCY = 4;

/** One more than there are cores, for frames take turns being the slowest. */
export const compressionConcurrency = (): number => Math.min(MAX_CONCURRENCY, availableParallelism() + 1);

const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

/** On a thread of libuv, so that several frames go on at the same time. The window is the largest that every brotli decoder knows, 16 MiB. */
export const compressFrame = (bytes: Buffer, compression: Compression): Promise<Buffer> =>
  brotli(bytes, {
    chunkSize: OUTPUT_CHUNK_BYTES,
    params: {
      [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY[compression],
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });

/** For what has to be unpacked before there is a Node. */
export const compressRuntime = (bytes: Buffer, compression: Compression): Promise<Buffer> =>
  zip(bytes, { level: GZIP_LEVEL[compression], chunkSize: OUTPUT_CHUNK_BYTES });

/** `work` on each item, `concurrency` at a time; results in order, and no further item is begun than `concurrency` beyond the one taken. */
export async function* mapInOrder<T, R>(items: Iterable<T>, concurrency: number, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  for (const item of items) {
    const result = work(item);
    // Awaited below, in order; until then a failure is not unhandled.
    result.catch(() => undefined);
    running.push(result);
    const first = running.length >= concurrency ? running.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const result of running) yield await result;
}
