import { ConfigError } from '@roentgen/config';
import { RoentgenError } from '@roentgen/domain';
import { readConfig } from './config.js';
import { Coordinator } from './coordinator.js';

try {
  const config = readConfig(process.env); // reports every problem at once, before connecting to anything
  const coordinator = await Coordinator.create(config);
  await coordinator.start();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void coordinator.close());
  console.log(JSON.stringify({ ready: 'coordinator', healthUrl: coordinator.healthUrl }));
} catch (error) {
  const expected = error instanceof ConfigError || error instanceof RoentgenError;
  console.error(expected ? `coordinator: ${error.message}` : error);
  process.exit(1);
}
