import type { DevicePreference } from '../config.js';
import { checkThat, failed, skipped, summarize, type Check, type Summary } from './check.js';
import type { TaskResult } from './child.js';
import { gpuFromLog, type CudaFacts, type HostFacts, type TensorFlowGpu } from './facts.js';
import { memoryScaleOf } from './memory-scale.js';
import { checksOf, tasksFor, type DeviceFacts, type LibtensorflowFacts, type Task } from './tasks.js';

export interface SelftestOptions {
  readonly device: DevicePreference;
  readonly quick: boolean;
  readonly libtensorflowPath: string | null;
  readonly host: HostFacts;
  readonly cuda: CudaFacts;
  readonly run: (task: Task) => Promise<TaskResult>;
  /** Whether nothing more is to be begun: what is left is skipped. Never by default. */
  readonly isTimeUp?: () => boolean;
  /** Told what happens, in words. */
  readonly note: (text: string) => void;
}

/** The result as `--json` prints it. */
export interface SelftestReport extends Summary {
  readonly quick: boolean;
  readonly requestedDevice: DevicePreference;
  /** Null where there is none to compute on. */
  readonly device: (DeviceFacts & { readonly gpu: TensorFlowGpu | null }) | null;
  /** Null where it cannot be loaded. */
  readonly libtensorflow: LibtensorflowFacts | null;
  readonly host: HostFacts;
  readonly cuda: CudaFacts;
  readonly checks: readonly Check[];
  /** Memory per image as a multiple of what micro-batches are chosen by; null where it was not measured. */
  readonly memoryScale: number | null;
  /** Whether everything was tried: false where the time was up before. */
  readonly complete: boolean;
  readonly seconds: number;
}

/** Tries everything that a worker relies on, one task after the other: side by side they would slow each other down. */
export async function selftest(options: SelftestOptions): Promise<SelftestReport> {
  const { device: requestedDevice, quick, libtensorflowPath, host, cuda, note } = options;
  const startedMs = performance.now();
  const elapsed = () => (performance.now() - startedMs) / 1000;
  const checks: Check[] = [];
  const add = (found: readonly Check[]) => {
    checks.push(...found);
    for (const check of found) note(`[${elapsed().toFixed(0).padStart(3)} s] ${check.verdict.padEnd(7)} ${check.name}`);
  };
  const deviceTask: Task = { kind: 'device', libtensorflowPath, preference: requestedDevice };
  note(`[  0 s] looking for the device (${requestedDevice})`);
  const probed = await options.run(deviceTask);
  const found = probed.messages.find((message) => message.type === 'device')?.facts ?? null;
  const gpu = gpuFromLog(probed.stderr);
  add([deviceCheck(found, gpu, requestedDevice, probed)]);
  let complete = true;
  for (const task of tasksFor(found?.device ?? 'cpu', { quick, libtensorflowPath })) {
    if (options.isTimeUp?.() === true) {
      complete = false;
      add(checksOf(task).map((name) => skipped(name, 'the time for the self-test was up')));
    } else if (found === null) add(checksOf(task).map((name) => skipped(name, 'there is no device to compute on')));
    else add(checksFrom(task, await options.run(task)));
  }
  return {
    ...summarize(checks),
    quick,
    requestedDevice,
    device: found && { device: found.device, name: gpu?.model ?? found.name, gpu },
    libtensorflow: probed.messages.find((message) => message.type === 'libtensorflow')?.facts ?? null,
    host,
    cuda,
    checks,
    memoryScale: memoryScaleOf(checks),
    complete,
    seconds: elapsed(),
  };
}

/** Whether a report stands for its machine until something changes: one that was cut off says nothing of what it left out. */
export const isWorthKeeping = ({ verdict, complete }: Pick<SelftestReport, 'verdict' | 'complete'>): boolean =>
  verdict === 'PASS' && complete;

function deviceCheck(found: DeviceFacts | null, gpu: TensorFlowGpu | null, requested: DevicePreference, result: TaskResult): Check {
  const bound = requested === 'auto' ? 'a device' : `a device of kind ${requested}`;
  if (found === null) return failed('device', reasonOf(result), bound);
  return checkThat(requested === 'auto' || found.device === requested, {
    name: 'device',
    measured: `${found.device}: ${gpu === null ? found.name : `${gpu.model} (${gpu.device})`}`,
    bound,
  });
}

/** The checks of a task in their order; one that did not come back has failed, for the reason that the task ended early. */
export function checksFrom(task: Task, result: TaskResult): Check[] {
  const checks = result.messages.flatMap((message) => (message.type === 'check' ? [message.check] : []));
  const missing = checksOf(task).filter((name) => !checks.some((check) => check.name === name));
  return [...checks, ...missing.map((name) => failed(name, reasonOf(result)))];
}

const STDERR_LINES = 5;

function reasonOf({ messages, ended, stderr }: TaskResult): string {
  const failure = messages.find((message) => message.type === 'failed');
  if (failure !== undefined) return `${failure.code}: ${failure.message}`;
  const lastLines = stderr.trim().split('\n').slice(-STDERR_LINES).join('\n');
  return [ended ?? 'its process ended without a result', ...(lastLines === '' ? [] : [lastLines])].join('; its last words: ');
}
