/** `npm run minio:build`: builds the MinIO server into the cache (about 3 minutes, once). It is AGPL-3.0: built here, never shipped with this repository. */
import { SetupFailure, runMain } from './setup/failure.mjs';
import { setUp } from './setup/index.mjs';
import { buildMinio } from './setup/minio.mjs';

await runMain(async () => {
  await buildMinio(process.env);
  const { minio } = await setUp();
  if (minio === undefined) throw new SetupFailure('MinIO was built but is not in the cache any more.', 'npm run minio:build');
  console.log(minio);
});
