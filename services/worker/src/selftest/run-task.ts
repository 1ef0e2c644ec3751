import { RoentgenError, coerceError } from '@roentgen/domain';
import { loadBinding, locateLibtensorflow } from '@roentgen/tensorflow';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { MIXED_PRECISION_TOLERANCE, compareWithReference } from '@roentgen/training';
import { detectDevice } from '../compute/device.js';
import type { Check } from './check.js';
import { gpuMemoryBytes } from '../compute/memory-budget.js';
import { judgePrecision, parityChecks } from './parity-checks.js';
import { memoryCheck, speedCheck, type GpuBefore } from './speed-check.js';
import type { Task, TaskMessage } from './tasks.js';
import { trainingChecks } from './training-checks.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Does a task in this process, whose environment must have been set before. Whatever goes wrong is a message. */
export function runTask(task: Task, environment: Environment, send: (message: TaskMessage) => void): void {
  try {
    for (const message of messagesOf(task, environment)) send(message);
  } catch (thrown) {
    const error = coerceError(thrown);
    send({ type: 'failed', code: error instanceof RoentgenError ? error.code : 'INTERNAL', message: error.message });
  }
}

function* messagesOf(task: Task, environment: Environment): Generator<TaskMessage> {
  const gpu = (task.kind === 'speed' || task.kind === 'memory') && task.device === 'cuda' ? gpuBefore(environment) : null;
  const bindingPath = task.libtensorflowPath ?? locateLibtensorflow().bindingPath;
  const binding = loadBinding(bindingPath);
  if (task.kind === 'device') {
    yield { type: 'libtensorflow', facts: { version: binding.TF_Version, bindingPath } };
    const { device, deviceName } = detectDevice(binding, task.preference);
    yield { type: 'device', facts: { device, name: deviceName } };
    return;
  }
  for (const check of checksOn(binding, task, gpu)) yield { type: 'check', check };
}

function checksOn(binding: TensorFlowBinding, task: Exclude<Task, { kind: 'device' }>, gpu: GpuBefore | null): Iterable<Check> {
  switch (task.kind) {
    case 'parity':
      return parityChecks(binding, task.fixture, task.device);
    case 'precision':
      return judgePrecision(compareWithReference(binding, task.fixture, task.precision), MIXED_PRECISION_TOLERANCE[task.precision]);
    case 'training':
      return trainingChecks(binding);
    case 'memory':
      return [memoryCheck(binding, task.case, gpu)];
    case 'speed':
      return [speedCheck(binding, task.case, gpu)];
  }
}

/** To be asked before TensorFlow is loaded. */
function gpuBefore(environment: Environment): GpuBefore | null {
  const id = environment.CUDA_VISIBLE_DEVICES ?? '0';
  const usedBytes = gpuMemoryBytes('memory.used', id);
  return usedBytes === null ? null : { id, usedBytes };
}
