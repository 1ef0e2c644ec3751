import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, freemem, hostname, totalmem } from 'node:os';
import type { SelftestSettings } from '../config.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface HostFacts {
  readonly name: string;
  readonly cpu: string;
  /** That this process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly node: string;
  /** 0: TensorFlow's choice. */
  readonly intraOpThreads: number;
  readonly interOpThreads: number;
}

export function hostFacts({ intraOpThreads, interOpThreads }: SelftestSettings): HostFacts {
  return {
    name: hostname(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    node: process.version,
    intraOpThreads,
    interOpThreads,
  };
}

export interface TensorFlowGpu {
  /** TensorFlow's name of the device, such as `/job:localhost/replica:0/task:0/device:GPU:0`. */
  readonly device: string;
  readonly model: string;
  readonly pciBusId: string;
  readonly computeCapability: string;
  readonly memoryBytes: number;
}

const CREATED_DEVICE =
  /Created device (\S+) with (\d+) MB memory:\s*-> device: \d+, name: (.+?), pci bus id: (\S+), compute capability: (\S+)/;

/** The GPU that TensorFlow made a device of, from its log at level 0; null where there is none in it. */
export function gpuFromLog(log: string): TensorFlowGpu | null {
  const [, device, megabytes, model, pciBusId, computeCapability] = CREATED_DEVICE.exec(log) ?? [];
  if (device === undefined || model === undefined || pciBusId === undefined || computeCapability === undefined) return null;
  return { device, model, pciBusId, computeCapability, memoryBytes: Number(megabytes) * 2 ** 20 };
}

export interface CudaFacts {
  /** Of the NVIDIA kernel module; null where there is none. */
  readonly driver: string | null;
  /** What the self-test's processes were given; null where the variable is not set. */
  readonly visibleDevices: string | null;
  readonly deterministicOps: string | null;
  readonly xlaFlags: string | null;
}

/** @param environment of the self-test's processes */
export function cudaFacts(environment: Environment): CudaFacts {
  return {
    driver: driverVersion(readOrNull('/proc/driver/nvidia/version')),
    visibleDevices: environment.CUDA_VISIBLE_DEVICES ?? null,
    deterministicOps: environment.TF_DETERMINISTIC_OPS ?? null,
    xlaFlags: environment.XLA_FLAGS ?? null,
  };
}

/** @param text of /proc/driver/nvidia/version */
export function driverVersion(text: string | null): string | null {
  return /^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s/m.exec(text ?? '')?.[1] ?? null;
}

/** The GPUs that the driver lists, by PCI address; none where there is no driver. */
export function gpusOfDriver(): string[] {
  try {
    return readdirSync('/proc/driver/nvidia/gpus').sort();
  } catch {
    return [];
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
