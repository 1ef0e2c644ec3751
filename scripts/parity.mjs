/** `npm run parity [-- --only PATTERN]`: compares with live Keras, PyTorch and Pillow (test/parity/README.md). Their packages are large, so `npm test` never does it. */
import { runMain } from './setup/failure.mjs';
import { handOver } from './setup/hand-over.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  await setUp();
  return handOver('test/parity/main.ts', process.argv.slice(2));
});
