import { fork } from 'node:child_process';

/** What a process of its own computes: the gradients of a whole network, or of some parts, which are kept, recomputed, or merged again by TensorFlow. */
export type Work =
  | { readonly kind: 'network'; readonly recipe: Readonly<Record<string, unknown>> }
  | { readonly kind: 'kept-parts' | 'recomputed-parts' | 'merged-parts' };

export interface Peak {
  /** The most that was held while computing, without what was held before. */
  readonly addedBytes: number;
}

/** @throws Error when the process ends without an answer */
export async function peakOf(work: Work): Promise<Peak> {
  const child = fork(new URL('./peak-memory.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  child.send(work);
  return new Promise((resolve, reject) => {
    let peak: Peak | null = null;
    child.once('message', (message: Peak) => (peak = message));
    child.once('error', reject);
    child.once('close', (code) =>
      peak ? resolve(peak) : reject(new Error(`the process ended with ${code} and without an answer: ${complaints}`)),
    );
  });
}
