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
