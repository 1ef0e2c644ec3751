import { parseArgs } from 'node:util';
import { readSelftestSettings, type SelftestSettings } from './config.js';
import { libtensorflowOrNull } from './selftest/at-start.js';
import { exitCodeOf } from './selftest/check.js';
import { childRunner } from './selftest/child.js';
import { taskEnvironment } from './selftest/environment.js';
import { cudaFacts, hostFacts } from './selftest/facts.js';
import { reportText } from './selftest/report-text.js';
import { selftest } from './selftest/selftest.js';
import type { Task } from './selftest/tasks.js';

const EXIT_BAD_USAGE = 2;
const EXIT_INTERRUPTED = 130;
/** A step of the largest case takes seconds, its graph some more; nothing takes minutes. */
const TASK_TIMEOUT_MS = 180_000;

interface Request {
  readonly settings: SelftestSettings;
  readonly quick: boolean;
  readonly json: boolean;
}

function requestOrExit(): Request {
  try {
    const { values } = parseArgs({ options: { device: { type: 'string' }, quick: { type: 'boolean' }, json: { type: 'boolean' } } });
    const environment = values.device === undefined ? process.env : { ...process.env, WORKER_DEVICE: values.device };
    return { settings: readSelftestSettings(environment), quick: values.quick ?? false, json: values.json ?? false };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error('usage: selftest-main [--device auto|cpu|cuda] [--quick] [--json]');
    process.exit(EXIT_BAD_USAGE);
  }
}

const { settings, quick, json } = requestOrExit();
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
const environmentOf = (task: Task) =>
  taskEnvironment(task, { settings, inherited: process.env, cudaDirectory: libtensorflowOrNull()?.cudaDirectory ?? null });
const { device, libtensorflowPath } = settings;
const runInChild = childRunner({
  entry: new URL('./selftest-child-main.ts', import.meta.url),
  timeoutMs: TASK_TIMEOUT_MS,
  signal: interruption.signal,
});
try {
  const report = await selftest({
    device,
    quick,
    libtensorflowPath,
    host: hostFacts(settings),
    cuda: cudaFacts(environmentOf({ kind: 'training', libtensorflowPath })),
    run: (task) => runInChild(task, environmentOf(task)),
    note: (text) => console.error(text),
  });
  console.log(json ? JSON.stringify(report) : reportText(report));
  process.exitCode = exitCodeOf(report);
} catch (error) {
  if (!interruption.signal.aborted) throw error;
  console.error('Interrupted.');
  process.exitCode = EXIT_INTERRUPTED;
}
