/** `npm start`: sets up what is missing, then runs `roentgen up` with the given arguments. */
import { runMain } from './setup/failure.mjs';
import { handOver } from './setup/hand-over.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  await setUp();
  // Its share of the time that the demo's summary shows.
  process.env.ROENTGEN_SETUP_MS = String(Math.round(performance.now()));
  return handOver('packages/cli/src/main.ts', ['up', ...process.argv.slice(2)]);
});
