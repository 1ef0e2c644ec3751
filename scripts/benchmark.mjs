/** `npm run benchmark -- NAME [args]`: one benchmark of test/benchmark (see its README), beside its peers in the same run. Without a name: the names. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runMain } from './setup/failure.mjs';
import { handOver } from './setup/hand-over.mjs';
import { ROOT, setUp } from './setup/index.mjs';

await runMain(async () => {
  const [name, ...args] = process.argv.slice(2);
  const entry = `test/benchmark/${name}.ts`;
  if (name === undefined || !existsSync(join(ROOT, entry))) {
    const files = readdirSync(join(ROOT, 'test/benchmark')).filter((file) => file.endsWith('.ts'));
    const names = files.map((file) => file.replace(/\.ts$/, ''));
    console.error(`${name === undefined ? 'Which benchmark?' : `There is no benchmark "${name}".`} Choose one of: ${names.join(', ')}.`);
    return 2;
  }
  await setUp();
  return handOver(entry, args);
});
