import { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

/** What is hashed and sent at once: some 30 ms of work. The protocol's smallest part has 5 MiB. */
export const PART_BYTES = 8 * 1024 * 1024;

/** The bytes as a stream of parts, each made when the one before has been sent. */
export function parts(bytes: Buffer, onPart?: () => void): Readable {
  function* each(): Generator<Buffer> {
    for (let start = 0; start < bytes.length; start += PART_BYTES) {
      yield bytes.subarray(start, start + PART_BYTES);
      onPart?.();
    }
  }
  return Readable.from(each(), { objectMode: false, highWaterMark: PART_BYTES });
}

/**
 * The whole of a stream, in memory of its own. Where an answer says how long it is, each piece goes straight to its place: joining the pieces of a
 * large object at its end would hold it twice and stop the thread for seconds.
 */
export async function joined(stream: Readable, onPart?: () => void): Promise<Buffer> {
  const announced = stream instanceof IncomingMessage ? Number(stream.headers['content-length'] ?? Number.NaN) : Number.NaN;
  if (Number.isNaN(announced)) return Buffer.concat(await stream.toArray());
  const whole = Buffer.allocUnsafeSlow(announced);
  let filled = 0;
  for await (const piece of stream) {
    filled += (piece as Buffer).copy(whole, filled);
    onPart?.();
  }
  return whole;
}
