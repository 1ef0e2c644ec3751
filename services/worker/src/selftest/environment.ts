import { tensorflowEnvironment, type TensorFlowSettings } from '../tensorflow-environment.js';
import type { Task } from './tasks.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentOptions {
  readonly settings: TensorFlowSettings;
  /** What the machine's own environment says. */
  readonly inherited: Environment;
  /** Folder with libdevice and ptxas of a CUDA build. */
  readonly cudaDirectory: string | null;
}

/** A worker's environment on this machine, and what the task wants besides. */
export function taskEnvironment(task: Task, { settings, inherited, cudaDirectory }: EnvironmentOptions): Record<string, string> {
  const kept = Object.entries(inherited).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(kept), ...tensorflowEnvironment(settings, inherited, cudaDirectory), ...taskVariables(task) };
}

function taskVariables(task: Task): Record<string, string> {
  switch (task.kind) {
    case 'device':
      // TensorFlow tells the name of the GPU in its log only.
      return { TF_CPP_MIN_LOG_LEVEL: '0' };
    case 'parity':
      // TF32 keeps 10 bits of a factor's 23: enough to train, not to be compared with float32.
      return { NVIDIA_TF32_OVERRIDE: '0' };
    case 'memory':
      // The usual allocator grows in steps of up to half the GPU: what is in use tells nothing of what is needed.
      return task.device === 'cuda' ? { TF_GPU_ALLOCATOR: 'cuda_malloc_async' } : {};
    case 'precision':
    case 'training':
    case 'speed':
      return {};
  }
}
