/** `npm run soak [-- --steps N --subscribers N --imports N --json]`: a long run under load; memory, handles, connections and consumers have to stay flat. */
import { runMain } from './setup/failure.mjs';
import { handOver } from './setup/hand-over.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  await setUp();
  return handOver('test/soak/main.ts', process.argv.slice(2));
});
