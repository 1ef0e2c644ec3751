import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, ensurePackage } from './cache.mjs';
import { SetupFailure } from './failure.mjs';
import { createProgress } from './progress.mjs';
import { run } from './run.mjs';

const PIN = JSON.parse(readFileSync(new URL('./pins.json', import.meta.url), 'utf8')).minio;
const FOLDER = `minio-${PIN.version}`;

/** The MinIO server that was built earlier, if any. @param {string} cache */
export function builtMinio(cache) {
  const path = join(cache, FOLDER, 'minio');
  return existsSync(path) ? path : undefined;
}

/** @param {NodeJS.ProcessEnv} env */
export async function buildMinio(env) {
  const cache = cacheDirectory(env);
  if (builtMinio(cache) !== undefined) return;
  if (spawnSync('go', ['version']).status !== 0) {
    throw new SetupFailure(
      'go is missing (it builds MinIO).',
      'install Go 1.24 or newer from https://go.dev/dl; without MinIO the local stack uses SeaweedFS',
    );
  }
  await createProgress().task(`MinIO ${PIN.version}, compiled by Go`, (report) =>
    ensurePackage(
      cache,
      FOLDER,
      async (folder, scratch) => {
        await run('go', ['install', `${PIN.module}@${PIN.version}`], {
          env: { ...env, GOBIN: scratch, CGO_ENABLED: '0' },
          fix: 'check the network (behind a mirror or proxy: go env GOPROXY) and run the same command again',
        });
        renameSync(join(scratch, 'minio'), join(folder, 'minio'));
      },
      { onWait: (owner) => report(undefined, `process ${owner.pid} is at it`) },
    ),
  );
}
