import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly residentBytes: number;
  /** The most it ever was in this process. */
  readonly peakBytes: number;
}

/** From the kernel: `ru_maxrss` would start at the size of the parent process. */
export function processMemory(): ProcessMemory {
  return parseProcessStatus(readFileSync('/proc/self/status', 'utf8'));
}

/** @param status text of /proc/<pid>/status. @throws Error when a line is missing */
export function parseProcessStatus(status: string): ProcessMemory {
  const bytesOf = (field: string): number => {
    const kilobytes = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kilobytes === undefined) throw new Error(`/proc/self/status has no line "${field}: … kB": this needs Linux.`);
    return Number(kilobytes) * 1024;
  };
  return { residentBytes: bytesOf('VmRSS'), peakBytes: bytesOf('VmHWM') };
}

const NVIDIA_SMI_TIMEOUT_MS = 10_000;

/**
 * Memory in use on a GPU, by whichever process: in a container the driver's process ids are not ours.
 * @param gpu index in PCI order or UUID, as CUDA_VISIBLE_DEVICES has it. → null where nvidia-smi does not tell
 */
export function gpuMemoryUsedBytes(gpu: string): number | null {
  try {
    const args = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', `--id=${gpu}`];
    const text = execFileSync('nvidia-smi', args, {
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
