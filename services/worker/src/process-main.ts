import { coerceError } from '@roentgen/domain';
import { createLogger } from '@roentgen/logger';
import { ComputeProcess } from './compute/compute-process.js';
import { readWorkerConfig } from './config.js';
import type { HoldingMessage, ReadyMessage } from './ready-message.js';
import { readOutcome } from './selftest/outcome.js';
import { EXIT_BROKEN, EXIT_CANNOT_START } from './supervisor/supervisor.js';

const config = readWorkerConfig();
const logger = createLogger('worker', config.logLevel);

function endWith(code: number, message: string): (thrown: unknown) => never {
  return (thrown) => {
    const error = coerceError(thrown);
    logger.fatal({ err: error }, `${message}: ${error.message}`);
    process.exit(code);
  };
}

const broken = endWith(EXIT_BROKEN, 'the compute process cannot go on');
process.on('uncaughtException', broken);
process.on('unhandledRejection', broken);
// The supervisor is gone: so is this process, as if killed itself (endWithParent is there for when this thread is busy).
process.on('disconnect', () => process.exit(EXIT_BROKEN));

let stopRequested = false;
let computing: ComputeProcess | null = null;
const stop = () => {
  if (stopRequested) return;
  stopRequested = true;
  if (computing === null) process.exit(0);
  computing.close().then(() => process.exit(0), broken);
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

try {
  const started = ComputeProcess.create(config, {
    selftest: readOutcome(process.env),
    gpu: process.env.CUDA_VISIBLE_DEVICES ?? '0',
    onBroken: broken,
    onHolding: (holding) => process.send?.({ holding } satisfies HoldingMessage),
  });
  const ready = await started.start();
  computing = started;
  process.send?.({ ready: 'worker', ...ready } satisfies ReadyMessage);
} catch (error) {
  endWith(EXIT_CANNOT_START, 'the worker cannot start')(error);
}
