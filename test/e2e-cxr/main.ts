/**
 * `npm run e2e:cxr -- --data DIR`: real chest X-rays (`labels.csv` with file, label, patient, and the images) from a folder to a predictions file,
 * through the public API only. One JSON object on stdout at the end. Exit code 0 when everything held, 1 when not, 2 without the data.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { NATS_USERS } from '@roentgen/cli';
import { startStack } from '@roentgen/local-stack';
import { startSystem } from '../testkit/start-system.js';
import { journey } from './journey.js';

const { values } = parseArgs({ options: { data: { type: 'string' } } });
process.exitCode = await main(values.data);

async function main(data: string | undefined): Promise<number> {
  if (data === undefined || !existsSync(join(data, 'labels.csv'))) {
    const found = data === undefined ? '--data is missing' : `there is no ${join(data, 'labels.csv')}`;
    console.error(`e2e:cxr: ${found}: expected --data DIR with a folder of X-rays and its labels.csv (columns file, label, patient).`);
    return 2;
  }
  const startedAt = performance.now();
  const stack = await startStack({ profile: 'ephemeral', natsUsers: NATS_USERS, bucket: 'test-*' });
  try {
    await using system = await startSystem(stack);
    const startSeconds = (performance.now() - startedAt) / 1000;
    console.log(JSON.stringify(await journey(system, resolve(data), startSeconds)));
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  } finally {
    await stack.stop();
  }
}
