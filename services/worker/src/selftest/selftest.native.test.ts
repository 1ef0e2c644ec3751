import { beforeAll, expect, test } from 'vitest';
import { childRunner } from './child.js';
import { taskEnvironment } from './environment.js';
import { runTask } from './run-task.js';
import { checksOf, type Task, type TaskMessage } from './tasks.js';

const libtensorflowPath = null;

function inThisProcess(task: Task): TaskMessage[] {
  const messages: TaskMessage[] = [];
  runTask(task, {}, (message) => messages.push(message));
  return messages;
}
const verdicts = (messages: readonly TaskMessage[]) =>
  messages.map((message) => (message.type === 'check' ? `${message.check.verdict} ${message.check.name}` : message));

let device: 'cpu' | 'cuda';
beforeAll(() => {
  const found = inThisProcess({ kind: 'device', libtensorflowPath, preference: 'auto' }).find((message) => message.type === 'device');
  device = found!.facts.device;
});

test('libtensorflow and the device are told', () => {
  expect(inThisProcess({ kind: 'device', libtensorflowPath, preference: 'auto' })).toMatchObject([
    { type: 'libtensorflow', facts: { version: '2.21.0', bindingPath: expect.stringMatching(/tfjs_binding\.node$/) as string } },
    { type: 'device', facts: { device } },
  ]);
});

test('loss and gradients are those of the reference', () => {
  const task: Task = { kind: 'parity', libtensorflowPath, device, fixture: 'keras-b0-batch' };
  expect(verdicts(inThisProcess(task))).toEqual(checksOf(task).map((name) => `PASS ${name}`));
});

test('a wrong feed is refused, steps can be repeated, and the network learns', () => {
  const task: Task = { kind: 'training', libtensorflowPath };
  expect(verdicts(inThisProcess(task))).toEqual(checksOf(task).map((name) => `PASS ${name}`));
});

test('speed and memory are measured', () => {
  const speedCase = { variant: 'B0', imageSizePx: 64, batchSize: 2, insteadOf: 'B0@224', budgetMs: 1 } as const;
  const [message] = inThisProcess({ kind: 'speed', libtensorflowPath, device, case: speedCase });
  expect(message).toMatchObject({ type: 'check', check: { name: 'speed B0@224', verdict: 'PASS' } });
  const values = message?.type === 'check' ? message.check.values : {};
  for (const name of ['imagesPerSecond', 'medianStepMs', 'peakBytes']) expect(values[name], name).toBeGreaterThan(0);
});

test('a GPU that is not to be seen is a named failure of the process that looked for it', async () => {
  const run = childRunner({
    entry: new URL('../selftest-child-main.ts', import.meta.url),
    execArgv: ['--import', import.meta.resolve('tsx')],
    timeoutMs: 60_000,
    signal: new AbortController().signal,
  });
  const task: Task = { kind: 'device', libtensorflowPath, preference: 'cuda' };
  const settings = {
    device: 'cuda',
    gpu: null,
    xla: false,
    deterministicOps: false,
    intraOpThreads: 0,
    interOpThreads: 0,
    libtensorflowPath,
  } as const;
  const environment = taskEnvironment(task, { settings, inherited: { CUDA_VISIBLE_DEVICES: '-1' }, cudaDirectory: null });
  const result = await run(task, environment);
  expect(result.ended).toBeNull();
  expect(result.messages).toMatchObject([{ type: 'libtensorflow' }, { type: 'failed', code: 'DEVICE_UNAVAILABLE' }]);
});
