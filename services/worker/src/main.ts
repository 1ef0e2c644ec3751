import { createLogger } from '@roentgen/logger';
import type { HeldAttempt } from '@roentgen/protocol';
import { computeEnvironment, readWorkerConfig, type WorkerConfig } from './config.js';
import { ComputeMessageSchema } from './ready-message.js';
import { libtensorflowOrNull, selftestAtStart } from './selftest/at-start.js';
import { outcomeVariable, type SelftestOutcome } from './selftest/outcome.js';
import { failureOfDeath, reportDeath } from './supervisor/post-mortem.js';
import { Supervisor } from './supervisor/supervisor.js';

function configOrExit(): WorkerConfig {
  try {
    return readWorkerConfig(process.env);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}

/** Null when the worker was asked to stop meanwhile. */
async function selftestOrStop(): Promise<{ outcome: SelftestOutcome | null } | null> {
  const interruption = new AbortController();
  const stop = () => interruption.abort();
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    return { outcome: await selftestAtStart({ config, environment: process.env, logger, signal: interruption.signal }) };
  } catch (error) {
    if (interruption.signal.aborted) return null;
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const config = configOrExit();
const logger = createLogger('worker', config.logLevel);
const selftested = await selftestOrStop();
if (selftested === null) process.exit(0);
let announced = false;
let holding: HeldAttempt | null = null;
const supervisor = new Supervisor({
  entry: new URL('./process-main.ts', import.meta.url),
  environment: {
    ...computeEnvironment(config, process.env, libtensorflowOrNull()?.cudaDirectory ?? null),
    ...outcomeVariable(selftested.outcome),
  },
  logger,
  stderr: process.stderr,
  stopGraceMs: config.stopGraceMs,
  onMessage: (text) => {
    const message = ComputeMessageSchema.parse(text);
    if ('holding' in message) holding = message.holding;
    else if (!announced) {
      announced = true;
      console.log(JSON.stringify(message));
    }
  },
  onDeath: async (death) => {
    const held = holding;
    holding = null;
    if (held !== null) await reportDeath(config, held, failureOfDeath(death), logger);
  },
});
for (const signal of SIGNALS) process.on(signal, () => supervisor.stop(signal));
process.exitCode = await supervisor.run();
