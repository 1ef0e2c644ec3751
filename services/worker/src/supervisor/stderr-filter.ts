import { Transform, type TransformCallback } from 'node:stream';

/** The two lines that TensorFlow prints at its start whatever TF_CPP_MIN_LOG_LEVEL says. */
const EXPECTED_LINES = [
  /^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR/,
  /oneDNN custom operations are on\. You may see slightly different numerical results/,
];

/** Passes lines on as they come, whole or in pieces, but for the two that say nothing. */
export class StderrFilter extends Transform {
  private rest = Buffer.alloc(0);

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const bytes = Buffer.concat([this.rest, chunk]);
    const end = bytes.lastIndexOf('\n') + 1;
    this.rest = bytes.subarray(end);
    callback(null, keepUnexpected(bytes.subarray(0, end)));
  }

  override _flush(callback: TransformCallback): void {
    callback(null, keepUnexpected(this.rest));
  }
}

/** Leaves those two lines out of a text. */
export function keepUnexpected(bytes: Buffer): string {
  const lines = bytes.toString('utf8').split(/(?<=\n)/);
  return lines.filter((line) => !EXPECTED_LINES.some((expected) => expected.test(line))).join('');
}
