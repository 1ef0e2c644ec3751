import { readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import type { DevicePreference } from '../config.js';
import { DeviceUnavailableError } from '../errors.js';
import type { DetectedDevice } from '../rpc.js';

const GPU_FOLDER = '/proc/driver/nvidia/gpus';

/**
 * What TensorFlow really computes on: a GPU only where it found one, whatever the build.
 * @throws DeviceUnavailableError when a GPU was asked for and none is visible
 */
export function detectDevice(binding: Pick<TensorFlowBinding, 'isUsingGpuDevice'>, preference: DevicePreference): DetectedDevice {
  const hasGpu = binding.isUsingGpuDevice();
  if (preference === 'cuda' && !hasGpu) {
    throw new DeviceUnavailableError(
      'the device cuda was asked for, but TensorFlow sees no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES, and that set-up installed the CUDA build; or set WORKER_DEVICE=auto (self-test: --device auto).',
      { preference },
    );
  }
  if (hasGpu && preference !== 'cpu') return { device: 'cuda', deviceName: gpuName() ?? 'NVIDIA GPU' };
  return { device: 'cpu', deviceName: cpus()[0]?.model ?? 'CPU' };
}

/** The model as the driver gives it, null where it does not. */
function gpuName(): string | null {
  try {
    const models = readdirSync(GPU_FOLDER).map(
      (gpu) => /^Model:\s*(.+)$/m.exec(readFileSync(`${GPU_FOLDER}/${gpu}/information`, 'utf8'))?.[1],
    );
    return models.find((model) => model !== undefined) ?? null;
  } catch {
    return null;
  }
}
