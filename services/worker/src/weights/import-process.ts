import { spawn } from 'node:child_process';
import { EFFICIENTNET_VARIANT_NAMES, ImportedWeightsSchema, WEIGHT_LIBRARIES } from '@roentgen/domain';
import { z } from 'zod';

/** What the reading process is told, as its only argument. */
export const ImportTaskSchema = z.object({
  /** Path of the file to read. */
  file: z.string(),
  /** Path to write our own file to. */
  target: z.string(),
  variant: z.enum(EFFICIENTNET_VARIANT_NAMES).nullable(),
  library: z.enum(WEIGHT_LIBRARIES).nullable(),
  catalogueName: z.string().nullable(),
  /** Of the file, as announced. */
  sha256: z.string().nullable(),
});
export type ImportTask = z.infer<typeof ImportTaskSchema>;

/** What it answers, as its only line. */
export const ImportAnswerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), weights: ImportedWeightsSchema }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);
export type ImportAnswer = z.infer<typeof ImportAnswerSchema>;

export interface ImportProcessOptions {
  /** Private writable memory that it may have, whatever part of it asks. */
  readonly memoryBytes: number;
  /** All that it inherits; no keys of the store or the broker. */
  readonly environment: Readonly<Record<string, string>>;
  /** Then it is killed. */
  readonly timeoutMs: number;
}

const ENTRY = new URL('../import-weights-main.ts', import.meta.url).pathname;
const TSX = import.meta.resolve('tsx');
/** Far above any answer: errors about a file are bounded in length, however many tensors it has. */
const ANSWER_LIMIT_CHARACTERS = 2 ** 20;
const KEPT_STDERR = 2_000;

/**
 * Reads a file of weights in a process of its own. The shell sets the limit of its data segment (setrlimit(2), RLIMIT_DATA), which Node cannot
 * set for itself; buffers, WebAssembly and the heap all count. It inherits no more of this process's environment than it is given here.
 */
export function readWeightsInProcess(
  task: ImportTask,
  { memoryBytes, environment, timeoutMs }: ImportProcessOptions,
): Promise<ImportAnswer> {
  return new Promise((resolve, reject) => {
    const limited = `ulimit -d ${Math.ceil(memoryBytes / 1024)} 2>/dev/null; exec "$0" "$@"`;
    const child = spawn('/bin/sh', ['-c', limited, process.execPath, '--import', TSX, ENTRY, JSON.stringify(task)], {
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    let tooLong = false;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (tooLong) return;
      stdout += chunk;
      tooLong = stdout.length > ANSWER_LIMIT_CHARACTERS;
      if (tooLong) child.kill('SIGKILL');
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr = (stderr + chunk).slice(-KEPT_STDERR)));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (tooLong) reject(new Error(`the process that reads weights answered with more than ${ANSWER_LIMIT_CHARACTERS} characters`));
      else if (code === 0) resolve(ImportAnswerSchema.parse(JSON.parse(stdout)));
      else if (signal === 'SIGKILL') resolve(limitReached(`reading it took longer than ${timeoutMs / 1000} s, or was killed`));
      else if (isOutOfMemory(stderr) || signal !== null) resolve(limitReached(`reading it takes more than ${memoryBytes} bytes of memory`));
      else reject(new Error(`the process that reads weights ended with exit code ${code}: ${stderr}`));
    });
  });
}

const isOutOfMemory = (stderr: string): boolean => /out of memory|allocation failed|could not allocate/i.test(stderr);

function limitReached(what: string): ImportAnswer {
  return {
    ok: false,
    code: 'WEIGHTS_LIMIT',
    message: `the file: ${what}. Use this file only if you trust who made it, and convert it to safetensors first.`,
  };
}
