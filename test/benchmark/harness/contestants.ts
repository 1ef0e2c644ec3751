import { delimiter, join } from 'node:path';
import { ensurePeer } from '../../../scripts/setup/peers.mjs';
import type { ContestantSpec } from './contestant.js';

const BENCHMARK = join(import.meta.dirname, '..');
/** Where a GPU is at hand, nobody uses it: the figures are those of the CPU. */
const CPU_ONLY = { CUDA_VISIBLE_DEVICES: '-1', TF_CPP_MIN_LOG_LEVEL: '3' } as const;

type Setup = Readonly<Record<string, unknown>> & { readonly threads: number };

/** `program`: a file of test/benchmark/contestants. */
export function roentgen(
  program: string,
  setup: Setup,
  environment: Readonly<Record<string, string>> = {},
): ContestantSpec & { name: 'ours' } {
  const threads = String(setup.threads);
  return {
    name: 'ours',
    command: process.execPath,
    args: ['--import', 'tsx', join(BENCHMARK, 'contestants', program)],
    environment: { ...CPU_ONLY, TF_NUM_INTRAOP_THREADS: threads, TF_NUM_INTEROP_THREADS: threads, ...environment },
    setup,
  };
}

/** Whose packages each peer uses, in the order in which Python looks. onnxruntime runs what PyTorch exports. */
const PACKAGES_OF = {
  keras: ['keras'],
  pytorch: ['pytorch'],
  pillow: ['pillow'],
  onnxruntime: ['onnxruntime', 'pytorch'],
} as const;
export type PeerName = keyof typeof PACKAGES_OF;

/** A peer of test/benchmark/peers, with its packages, which are installed on first use. */
export async function peer<N extends PeerName>(name: N, setup: Setup): Promise<ContestantSpec & { name: N }> {
  return {
    name,
    command: 'python3',
    args: [join(BENCHMARK, 'peers', `${name}_peer.py`)],
    environment: await pythonEnvironment(name),
    setup,
  };
}

export async function pythonEnvironment(name: PeerName): Promise<Record<string, string>> {
  const folders: string[] = [];
  for (const packages of PACKAGES_OF[name]) folders.push(await ensurePeer(packages));
  return { ...CPU_ONLY, PYTHONPATH: folders.join(delimiter), PYTHONNOUSERSITE: '1', PYTHONDONTWRITEBYTECODE: '1' };
}
