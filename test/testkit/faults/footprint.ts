import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Service } from '@roentgen/cli';

/** What a process holds at one moment, as the kernel counts it. */
export interface Footprint {
  readonly residentBytes: number;
  /** Open files, pipes, sockets and the like. */
  readonly handles: number;
  readonly sockets: number;
  readonly threads: number;
}

export function footprintOf(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
  const handles = readdirSync(`/proc/${pid}/fd`);
  return {
    residentBytes: number('VmRSS') * 1024,
    handles: handles.length,
    sockets: handles.filter((handle) => targetOf(pid, handle).startsWith('socket:')).length,
    threads: number('Threads'),
  };
}

/** Empty for one that was closed in this moment. */
function targetOf(pid: number, handle: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${handle}`);
  } catch {
    return '';
  }
}

/** The process in which a worker computes; the worker's own is its supervisor. */
export function computeProcessOf({ name, pid }: Service): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  if (child === undefined || child === 0) throw new Error(`${name} has no compute process now`);
  return child;
}
