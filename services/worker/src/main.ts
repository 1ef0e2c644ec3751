import { createLogger } from '@roentgen/logger';
import { computeEnvironment, readWorkerConfig, type WorkerConfig } from './config.js';
import { ReadyMessageSchema } from './ready-message.js';
import { Supervisor } from './supervisor/supervisor.js';

function configOrExit(): WorkerConfig {
  try {
    return readWorkerConfig(process.env);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}

const config = configOrExit();
let announced = false;
const supervisor = new Supervisor({
  entry: new URL('./process-main.ts', import.meta.url),
  environment: computeEnvironment(config, process.env),
  logger: createLogger('worker', config.logLevel),
  stderr: process.stderr,
  stopGraceMs: config.stopGraceMs,
  onMessage: (message) => {
    if (!announced) console.log(JSON.stringify(ReadyMessageSchema.parse(message)));
    announced = true;
  },
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => supervisor.stop(signal));
process.exitCode = await supervisor.run();
