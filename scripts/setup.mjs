/** `npm run setup`: everything that `npm start` and `npm test` would set up, and no more. `-- --device auto|cpu|cuda`, `-- --only libtensorflow|stack`. */
import { parseArgs } from 'node:util';
import { SetupFailure, runMain } from './setup/failure.mjs';
import { setUp } from './setup/index.mjs';

await runMain(async () => {
  const { values } = parseArgs({ options: { device: { type: 'string' }, only: { type: 'string' } } });
  if (values.only !== undefined && values.only !== 'libtensorflow' && values.only !== 'stack') {
    throw new SetupFailure(`--only is ${JSON.stringify(values.only)}; it can be libtensorflow or stack.`);
  }
  console.log(JSON.stringify(await setUp({ device: values.device, only: values.only }), null, 2));
});
