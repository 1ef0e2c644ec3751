import { tensorflowEnvironment, type SelftestSettings } from '../config.js';
import type { Task } from './tasks.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentOptions {
  readonly settings: SelftestSettings;
  /** What the machine's own environment says. */
  readonly inherited: Environment;
  /** Folder with libdevice and ptxas of a CUDA build. */
  readonly cudaDirectory: string | null;
}

/** A worker's environment on this machine: one GPU per process, settings in place before TensorFlow is loaded. */
export function taskEnvironment(task: Task, { settings, inherited, cudaDirectory }: EnvironmentOptions): Record<string, string> {
  const kept = Object.entries(inherited).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    // So that an index means to CUDA what it means to nvidia-smi.
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    ...Object.fromEntries(kept),
    CUDA_VISIBLE_DEVICES: firstGpu(inherited.CUDA_VISIBLE_DEVICES),
    ...xlaFlags(inherited.XLA_FLAGS, cudaDirectory),
    ...tensorflowEnvironment(settings),
    ...taskVariables(task),
  };
}

/** The first GPU that may be used; an empty text or -1 hides all of them and stays. */
const firstGpu = (visible = '0'): string => visible.split(',')[0]!.trim();

function xlaFlags(inherited = '', cudaDirectory: string | null): Record<string, string> {
  if (cudaDirectory === null || inherited.includes('--xla_gpu_cuda_data_dir')) return {};
  return { XLA_FLAGS: `${inherited} --xla_gpu_cuda_data_dir=${cudaDirectory}`.trim() };
}

function taskVariables({ kind }: Task): Record<string, string> {
  // TensorFlow tells the name of the GPU in its log only.
  if (kind === 'device') return { TF_CPP_MIN_LOG_LEVEL: '0' };
  // TF32 keeps 10 bits of a factor's 23: enough to train, not to be compared with float32.
  return kind === 'parity' ? { NVIDIA_TF32_OVERRIDE: '0' } : {};
}
