/**
 * `npm run setup`: everything that `npm start` and `npm test` would set up, and no more. `-- --device auto|cpu|cuda`, `-- --only libtensorflow|stack`.
 * `--no-record` leaves alone what this repository uses, `--no-cuda-libraries` leaves out NVIDIA's: for a bundle.
 */
import { parseArgs } from 'node:util';
import { SetupFailure, runMain } from './setup/failure.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      device: { type: 'string' },
      only: { type: 'string' },
      'no-record': { type: 'boolean', default: false },
      'no-cuda-libraries': { type: 'boolean', default: false },
    },
  });
  if (values.only !== undefined && values.only !== 'libtensorflow' && values.only !== 'stack') {
    throw new SetupFailure(`--only is ${JSON.stringify(values.only)}; it can be libtensorflow or stack.`);
  }
  const { device, only, 'no-record': noRecord, 'no-cuda-libraries': noCudaLibraries } = values;
  console.log(JSON.stringify(await setUp({ device, only, record: !noRecord, cudaLibraries: !noCudaLibraries }), null, 2));
});
