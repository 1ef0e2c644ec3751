import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ReportedError } from '../failure.js';
import type { CommandContext } from '../session.js';
import { REPOSITORY_ROOT, TSX } from '../up/service.js';

export interface SelftestOptions {
  readonly device?: string;
  readonly quick?: boolean;
}

const ENTRY_POINT = join(REPOSITORY_ROOT, 'services', 'worker', 'src', 'selftest-main.ts');

/** `roentgen worker selftest`: the worker's own program does it, which loads TensorFlow and this one does not. */
export async function selftestCommand({ output, signal, environment, stdout, stderr }: CommandContext, options: SelftestOptions) {
  const flags = [
    ...(options.device === undefined ? [] : ['--device', options.device]),
    ...(options.quick === true ? ['--quick'] : []),
    ...(output.json ? ['--json'] : []),
  ];
  const child = spawn(process.execPath, ['--import', TSX, ENTRY_POINT, ...flags], {
    cwd: REPOSITORY_ROOT,
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => stdout.write(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => stderr.write(chunk));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new ReportedError(code ?? 1);
}
