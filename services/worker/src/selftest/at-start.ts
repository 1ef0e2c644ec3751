import { locateLibtensorflow } from '@roentgen/tensorflow';
import { coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { WorkerConfig } from '../config.js';
import { cacheKey, programDigest, readCached, selftestFolder, writeCached } from './cache.js';
import { childRunner } from './child.js';
import { taskEnvironment } from './environment.js';
import { cudaFacts, gpusOfDriver, hostFacts } from './facts.js';
import { outcomeOf, type SelftestOutcome } from './outcome.js';
import { isWorthKeeping, selftest } from './selftest.js';
import type { Task } from './tasks.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** Each takes a few seconds; one that hangs must not hold the start up for ever. */
const TASK_TIMEOUT_MS = 90_000;

export interface StartOptions {
  readonly config: WorkerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Ends the self-test. */
  readonly signal: AbortSignal;
}

/** The build that is loaded; where there is none, the self-test says so. */
export function libtensorflowOrNull(): ReturnType<typeof locateLibtensorflow> | null {
  try {
    return locateLibtensorflow();
  } catch {
    return null;
  }
}

/**
 * The self-test of this machine as this worker would compute on it: the one that was kept, else a new one, which is kept where it passed as a
 * whole. One that failed is made again at the next start (what was wrong may have been put right outside of what we can see), and so is one that
 * was cut off.
 */
export async function selftestAtStart({ config, environment, logger, signal }: StartOptions): Promise<SelftestOutcome | null> {
  const level = config.selftest;
  if (level === 'off') return null;
  const build = libtensorflowOrNull();
  const environmentOf = (task: Task) =>
    taskEnvironment(task, { settings: config, inherited: environment, cudaDirectory: build?.cudaDirectory ?? null });
  const host = hostFacts(config);
  const cuda = cudaFacts(environmentOf({ kind: 'training', libtensorflowPath: config.libtensorflowPath }));
  const { name, cpu, cores, node } = host;
  const { device, gpu, intraOpThreads, interOpThreads, xla, deterministicOps, libtensorflowPath } = config;
  const settings = { device, gpu, intraOpThreads, interOpThreads, xla, deterministicOps, libtensorflowPath };
  const machine = { name, cpu, cores, node, cuda, gpus: gpusOfDriver() };
  const [folder, key] = [selftestFolder(environment), cacheKey({ level, machine, settings, build, program: programDigest() })];
  const kept = readCached(folder, key);
  if (kept !== null) return kept;
  logger.info(
    { level, timeoutMs: config.selftestTimeoutMs },
    'the self-test of this machine runs before work is taken (WORKER_SELFTEST=off leaves it out)',
  );
  const [startedAt, startedMs] = [new Date(), performance.now()];
  const run = childRunner({ entry: new URL('../selftest-child-main.ts', import.meta.url), timeoutMs: TASK_TIMEOUT_MS, signal });
  const report = await selftest({
    device,
    quick: level === 'quick',
    libtensorflowPath,
    host,
    cuda,
    run: (task) => run(task, environmentOf(task)),
    isTimeUp: () => performance.now() - startedMs > config.selftestTimeoutMs,
    note: (text) => logger.debug(text),
  });
  const outcome = outcomeOf(report, level, startedAt);
  const { verdict, passed, failed, skipped, seconds } = report;
  logger[verdict === 'PASS' ? 'info' : 'error']({ verdict, passed, failed, skipped, seconds: Math.round(seconds) }, 'the self-test ended');
  if (!report.complete)
    logger.warn(
      { skipped, timeoutMs: config.selftestTimeoutMs },
      'the time for the self-test was up before everything was tried: it is made again at the next start; give it more with WORKER_SELFTEST_TIMEOUT_MS',
    );
  if (isWorthKeeping(report)) keep(folder, key, outcome, logger);
  return outcome;
}

function keep(folder: string, key: string, outcome: SelftestOutcome, logger: Logger): void {
  try {
    writeCached(folder, key, outcome);
  } catch (thrown) {
    logger.warn({ err: coerceError(thrown), folder }, 'the self-test could not be kept: it is made again at the next start');
  }
}
