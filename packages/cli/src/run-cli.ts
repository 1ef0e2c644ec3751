import { EXIT } from './exit-codes.js';
import { failureOf, InterruptedError, ReportedError } from './failure.js';
import { Output, type OutputOptions } from './output.js';
import { CommanderError } from 'commander';
import { createProgram } from './program.js';

/** What a run of the command line touches; replaced in tests. */
export interface CliHost {
  readonly stdout: OutputOptions['stdout'];
  readonly stderr: OutputOptions['stderr'];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const processHost = (): CliHost => ({ stdout: process.stdout, stderr: process.stderr, environment: process.env });

/** Runs one command line and gives its exit code. Prints every failure; throws nothing. */
export async function runCli(args: readonly string[], host: CliHost = processHost()): Promise<number> {
  const output = new Output({ json: args.includes('--json'), stdout: host.stdout, stderr: host.stderr });
  const abort = new AbortController();
  const interrupt = () => abort.abort(new InterruptedError('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    await createProgram({ ...host, output, signal: abort.signal }).parseAsync([...args], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    if (error instanceof ReportedError) return error.exitCode;
    output.failure(failureOf(abort.signal.aborted ? abort.signal.reason : error));
    if (args.includes('--debug')) host.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    return failureOf(abort.signal.aborted ? abort.signal.reason : error).exitCode;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}
