import { coerceError } from '@roentgen/domain';
import { readConfig } from './config.js';
import { Gateway } from './gateway.js';

try {
  const gateway = await Gateway.create(readConfig(process.env));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void gateway.close());
  await gateway.start();
  process.stdout.write(`${JSON.stringify({ ready: 'gateway', url: gateway.url, healthUrl: gateway.healthUrl })}\n`);
} catch (thrown) {
  process.stderr.write(`${coerceError(thrown).message}\n`);
  process.exit(1);
}
