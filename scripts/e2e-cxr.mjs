/** `npm run e2e:cxr -- --data DIR`: the whole way from a folder of real X-rays to a predictions file, through the public API only. */
import { runMain } from './setup/failure.mjs';
import { handOver } from './setup/hand-over.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  await setUp();
  return handOver('test/e2e-cxr/main.ts', process.argv.slice(2));
});
