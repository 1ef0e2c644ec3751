import { readdirSync } from 'node:fs';

const DRIVER_FOLDER = '/proc/driver/nvidia/gpus';

/**
 * Deals the GPUs of this machine to its workers in turn: each uses one. Nothing where there is only one or none, or where WORKER_GPU says which.
 * @param gpuCount that the driver lists; counts where CUDA_VISIBLE_DEVICES does not name them
 */
export function gpuOfWorker(
  index: number,
  environment: Readonly<Record<string, string | undefined>>,
  gpuCount = countGpus(),
): { readonly WORKER_GPU?: string } {
  if ((environment.WORKER_GPU ?? '') !== '') return {};
  const named = environment.CUDA_VISIBLE_DEVICES?.split(',').map((gpu) => gpu.trim());
  const gpus = named ?? Array.from({ length: gpuCount }, (_, gpu) => String(gpu));
  const gpu = gpus[index % gpus.length];
  return gpus.length < 2 || gpu === undefined ? {} : { WORKER_GPU: gpu };
}

function countGpus(): number {
  try {
    return readdirSync(DRIVER_FOLDER).length;
  } catch {
    return 0;
  }
}
