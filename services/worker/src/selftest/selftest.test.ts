import { expect, test } from 'vitest';
import { checkThat, exitCodeOf } from './check.js';
import type { TaskResult } from './child.js';
import { reportText } from './report-text.js';
import { isWorthKeeping, selftest, type SelftestReport } from './selftest.js';
import { checksOf, speedCases, type Task, type TaskMessage } from './tasks.js';

const HOST = {
  name: 'host',
  cpu: 'CPU',
  cores: 2,
  memoryBytes: 2 ** 34,
  freeMemoryBytes: 2 ** 33,
  node: 'v20',
  intraOpThreads: 0,
  interOpThreads: 3,
};
const CUDA = { driver: null, visibleDevices: '0', deterministicOps: null, xlaFlags: null };

const found = (device: 'cpu' | 'cuda'): TaskMessage[] => [
  { type: 'libtensorflow', facts: { version: '2.21.0', bindingPath: '/tfjs_binding.node' } },
  { type: 'device', facts: { device, name: 'some device' } },
];
const result = (messages: readonly TaskMessage[], rest: Partial<TaskResult> = {}): TaskResult => ({
  messages,
  ended: null,
  stderr: '',
  ...rest,
});
const checked = (task: Task, failing: readonly string[] = []) =>
  result(
    checksOf(task).map((name) => ({
      type: 'check',
      check: checkThat(!failing.includes(name), { name, measured: `${name} measured`, bound: 'bound' }),
    })),
  );

/** A machine where everything passes, but for what `answer` says otherwise. */
function run(
  answer: (task: Task) => TaskResult | null,
  options: { device?: 'auto' | 'cpu' | 'cuda'; kind?: 'cpu' | 'cuda'; isTimeUp?: () => boolean } = {},
) {
  const tasks: Task[] = [];
  const report = selftest({
    device: options.device ?? 'auto',
    quick: false,
    libtensorflowPath: null,
    host: HOST,
    cuda: CUDA,
    note: () => undefined,
    isTimeUp: options.isTimeUp ?? (() => false),
    run: (task) => {
      tasks.push(task);
      return Promise.resolve(answer(task) ?? (task.kind === 'device' ? result(found(options.kind ?? 'cpu')) : checked(task)));
    },
  });
  return report.then((done) => ({ report: done, tasks }));
}
const verdictOf = (report: SelftestReport, name: string) => report.checks.find((check) => check.name === name)?.verdict;

test('a machine where everything passes passes', async () => {
  const { report } = await run(() => null);
  expect(report).toMatchObject({ verdict: 'PASS', failed: 0, skipped: 0, libtensorflow: { version: '2.21.0' } });
  expect(report.passed).toBe(report.checks.length);
  expect(exitCodeOf(report)).toBe(0);
});

test('one that was cut off passes with what it tried, and is made again at the next start', async () => {
  let asked = 0;
  const { report } = await run(() => null, { isTimeUp: () => ++asked > 2 });
  expect(report).toMatchObject({ verdict: 'PASS', complete: false });
  expect(report.skipped).toBeGreaterThan(0);
  expect(isWorthKeeping(report)).toBe(false);
  expect(isWorthKeeping((await run(() => null)).report)).toBe(true);
  expect(isWorthKeeping({ verdict: 'FAIL', complete: true })).toBe(false);
});

test('one failing check fails the whole and is named with value and bound', async () => {
  const { report } = await run((task) => (task.kind === 'training' ? checked(task, ['determinism']) : null));
  expect(report).toMatchObject({ verdict: 'FAIL', failed: 1 });
  expect(exitCodeOf(report)).toBe(1);
  expect(reportText(report)).toContain('FAIL     determinism: determinism measured\n         bound: bound');
  expect(reportText(report)).toContain(`FAIL: ${report.checks.length - 1} passed, 1 failed, 0 skipped`);
});

test('a process that TensorFlow aborts fails what it had not told yet; the rest is still tried', async () => {
  const { report } = await run((task) => {
    if (task.kind !== 'training') return null;
    const [first] = checked(task).messages;
    return result([first!], { ended: 'its process was ended by SIGABRT', stderr: 'F tensor.cc:901 Check failed\n' });
  });
  expect(verdictOf(report, 'feed safety')).toBe('PASS');
  const lost = report.checks.filter((check) => check.verdict === 'FAIL');
  expect(lost.map((check) => check.name)).toEqual(['determinism', 'learning']);
  expect(lost[0]?.measured).toBe('its process was ended by SIGABRT; its last words: F tensor.cc:901 Check failed');
  expect(report.checks.filter((check) => check.name.startsWith('speed')).map((check) => check.verdict)).toEqual(['PASS', 'PASS', 'PASS']);
});

test('an error of a task is told by its code', async () => {
  const { report } = await run((task) =>
    task.kind === 'speed' && task.case.variant === 'B7' ? result([{ type: 'failed', code: 'SESSION_FAILED', message: 'OOM' }]) : null,
  );
  expect(report.checks.at(-1)).toMatchObject({ name: 'speed B7@600', verdict: 'FAIL', measured: 'SESSION_FAILED: OOM' });
});

test('without the device that was asked for that is the failure, and nothing is tried on another', async () => {
  const unavailable: TaskMessage = { type: 'failed', code: 'DEVICE_UNAVAILABLE', message: 'TensorFlow sees no GPU' };
  const { report, tasks } = await run(() => result([found('cpu')[0]!, unavailable]), { device: 'cuda' });
  expect(tasks.map((task) => task.kind)).toEqual(['device']);
  expect(report).toMatchObject({ verdict: 'FAIL', failed: 1, device: null, libtensorflow: { version: '2.21.0' } });
  expect(report.checks[0]).toMatchObject({ name: 'device', measured: 'DEVICE_UNAVAILABLE: TensorFlow sees no GPU' });
  expect(report.checks.slice(1).every((check) => check.verdict === 'SKIPPED')).toBe(true);
});

test('a CPU where a GPU was asked for is a failure', async () => {
  const { report } = await run(() => null, { device: 'cuda', kind: 'cpu' });
  expect(verdictOf(report, 'device')).toBe('FAIL');
});

test("a GPU is called what TensorFlow's log calls it", async () => {
  const log =
    'I0000 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/device:GPU:0 with 13775 MB memory:  -> device: 0, name: Tesla T4, pci bus id: 0000:00:04.0, compute capability: 7.5\n';
  const { report, tasks } = await run((task) => (task.kind === 'device' ? result(found('cuda'), { stderr: log }) : null), { kind: 'cuda' });
  expect(report.device).toMatchObject({ name: 'Tesla T4', gpu: { device: '/job:localhost/replica:0/task:0/device:GPU:0' } });
  expect(reportText(report)).toContain('compute capability 7.5');
  expect(new Set(tasks.flatMap((task) => (task.kind === 'parity' ? [task.device] : [])))).toEqual(new Set(['cuda']));
});

test('a GPU is measured at the sizes of the names, a CPU at smaller ones that it says', () => {
  expect(speedCases('cuda', false).map(({ insteadOf, imageSizePx }) => [insteadOf, imageSizePx])).toEqual([
    [null, 224],
    [null, 300],
    [null, 600],
  ]);
  expect(speedCases('cpu', false).map(({ insteadOf }) => insteadOf)).toEqual([null, null, 'B7@600']);
  expect(speedCases('cuda', true).map(({ insteadOf }) => insteadOf)).toEqual(['B0@224', 'B3@300', 'B7@600']);
});
