import { coerceError } from '@roentgen/domain';
import { readConfig } from './config.js';
import { parseSetupArguments, setUp } from './setup.js';

try {
  const result = await setUp(readConfig(process.env), parseSetupArguments(process.argv.slice(2)));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (thrown) {
  process.stderr.write(`${coerceError(thrown).message}\n`);
  process.exit(1);
}
