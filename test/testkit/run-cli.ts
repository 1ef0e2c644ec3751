import { Writable } from 'node:stream';
import { runCli as runCliWith } from '@roentgen/cli';

export interface CliRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process, as from a shell without a terminal. */
export async function runCli(args: readonly string[], environment: Readonly<Record<string, string | undefined>> = {}): Promise<CliRun> {
  const [stdout, stderr] = [capture(), capture()];
  const exitCode = await runCliWith(args, { stdout: stdout.stream, stderr: stderr.stream, environment });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function capture(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
