import { execFileSync } from 'node:child_process';
import { totalmem } from 'node:os';
import type { Device } from '@roentgen/domain';

/** CUDA keeps some of a GPU for itself. */
const SHARE_OF_GPU = 0.9;
/** The rest is for images in memory, the networking thread, and whatever else the machine does. */
const SHARE_OF_MACHINE = 0.5;
const NVIDIA_SMI_TIMEOUT_MS = 10_000;

export interface MemorySources {
  /** Of the machine or of the container that this process is in, bytes. */
  readonly machineBytes: () => number;
  /** Of the GPU with this index or UUID, bytes; null where nobody tells. */
  readonly gpuBytes: (gpu: string) => number | null;
}

const SOURCES: MemorySources = {
  machineBytes: () => Math.min(totalmem(), process.constrainedMemory() || Infinity),
  gpuBytes: (gpu) => gpuMemoryBytes('memory.total', gpu),
};

/**
 * What a training session may take, bytes; null where the GPU's memory is not known.
 * @param settings `memoryBytes` 0 is a share of what there is; `gpu` as CUDA_VISIBLE_DEVICES has it
 */
export function memoryBudgetBytes(
  device: Device,
  settings: { readonly memoryBytes: number; readonly gpu: string },
  sources: MemorySources = SOURCES,
): number | null {
  if (settings.memoryBytes > 0) return settings.memoryBytes;
  if (device === 'cpu') return Math.floor(sources.machineBytes() * SHARE_OF_MACHINE);
  const bytes = sources.gpuBytes(settings.gpu);
  return bytes === null ? null : Math.floor(bytes * SHARE_OF_GPU);
}

/**
 * A memory figure of a GPU from nvidia-smi, by whichever process: in a container the driver's process ids are not ours.
 * @param gpu index in PCI order or UUID, as CUDA_VISIBLE_DEVICES has it. → null where nvidia-smi does not tell
 */
export function gpuMemoryBytes(figure: 'memory.used' | 'memory.total', gpu: string): number | null {
  try {
    const text = execFileSync('nvidia-smi', [`--query-gpu=${figure}`, '--format=csv,noheader,nounits', `--id=${gpu}`], {
      encoding: 'utf8',
      timeout: NVIDIA_SMI_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const mebibytes = Number(text.trim() || NaN);
    return Number.isFinite(mebibytes) ? mebibytes * 2 ** 20 : null;
  } catch {
    return null;
  }
}
