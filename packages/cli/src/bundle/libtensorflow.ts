import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface LibtensorflowRequest {
  readonly root: string;
  readonly device: 'cpu' | 'cuda';
  readonly cudaLibraries: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stderr: { write(text: string): unknown };
  readonly signal: AbortSignal;
}

export interface PreparedLibtensorflow {
  readonly version: string;
  readonly bindingPath: string;
  /** The per-user cache that it is in. */
  readonly cacheDirectory: string;
}

/**
 * libtensorflow for a device that this machine need not have, out of set-up's cache; fetched and compiled where it is not there. What the
 * repository itself uses stays as it is.
 *
 * @throws Error when set-up fails; it has told why
 */
export async function prepareLibtensorflow(request: LibtensorflowRequest): Promise<PreparedLibtensorflow> {
  const { root, device, cudaLibraries, environment, stderr, signal } = request;
  const flags = ['--only', 'libtensorflow', '--device', device, '--no-record', ...(cudaLibraries ? [] : ['--no-cuda-libraries'])];
  const child = spawn(process.execPath, [join(root, 'scripts', 'setup.mjs'), ...flags], {
    cwd: root,
    env: { ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => stderr.write(chunk));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const found = code === 0 ? parseInstallation(JSON.parse(stdout)) : null;
  if (found === null) throw new Error(`libtensorflow for ${device} could not be set up (exit code ${code}); the reason stands above.`);
  return found;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

/** What set-up prints. */
function parseInstallation(value: unknown): PreparedLibtensorflow | null {
  if (!isObject(value) || !isObject(value.libtensorflow) || typeof value.cacheDirectory !== 'string') return null;
  const { version, bindingPath } = value.libtensorflow;
  if (typeof version !== 'string' || typeof bindingPath !== 'string') return null;
  return { version, bindingPath, cacheDirectory: value.cacheDirectory };
}
