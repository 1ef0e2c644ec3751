/**
 * `npm run bundle:verify`: packs a worker, unpacks it in an empty folder with an empty PATH and without a network, and runs the whole `worker selftest`
 * there. `-- --device cpu|cuda` (the self-test runs on the CPU unless `--selftest-device` says otherwise), `--compression best|fast`, `--quick`,
 * `--bundle DIR` for one that is there already. It takes as long as the compression: minutes for fast, most of an hour for the first best one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SetupFailure, runMain } from './setup/failure.mjs';
import { ROOT, setUp } from './setup/index.mjs';

const UNSHARE = ['/usr/bin/unshare', '/bin/unshare'].find((path) => existsSync(path));

/** Words in front of a command that take the network away; none where this user may not. */
function withoutNetwork() {
  const words = UNSHARE === undefined ? [] : [UNSHARE, '--net', '--map-root-user'];
  if (words.length > 0 && spawnSync(words[0], [...words.slice(1), '/bin/sh', '-c', ':']).status === 0) return words;
  console.log('This user may not make a network namespace: the network stays reachable, and nothing checks that it is not used.');
  return [];
}

/** @param {string} what @param {string[]} command @param {NodeJS.ProcessEnv} env */
function step(what, [program, ...args], env) {
  console.log(`\n${what}\n$ ${[program, ...args].join(' ')}`);
  const startedAt = Date.now();
  const { status, error } = spawnSync(program, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) throw new SetupFailure(`${program} cannot be started: ${error.message}`);
  if (status !== 0) throw new SetupFailure(`${what}: exit code ${status}.`);
  console.log(`${what}: ${((Date.now() - startedAt) / 1000).toFixed(0)} s`);
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      device: { type: 'string', default: 'cpu' },
      'selftest-device': { type: 'string', default: 'cpu' },
      compression: { type: 'string', default: 'best' },
      quick: { type: 'boolean', default: false },
      bundle: { type: 'string' },
    },
  });
  await setUp();
  const scratch = mkdtempSync(join(tmpdir(), 'roentgen-bundle-'));
  try {
    const bundle = resolve(values.bundle ?? join(scratch, 'bundle'));
    const target = join(scratch, 'unpacked');
    if (values.bundle === undefined) {
      const flags = ['--device', values.device, '--compression', values.compression, '--out', bundle];
      step('Pack', [process.execPath, 'packages/cli/bin/roentgen.mjs', 'worker', 'bundle', ...flags], process.env);
    }
    const bytes = readdirSync(bundle).reduce((sum, name) => sum + statSync(join(bundle, name)).size, 0);
    console.log(`\n${readdirSync(bundle).length} files, ${(bytes / 2 ** 20).toFixed(1)} MiB`);
    const alone = withoutNetwork();
    const bare = { PATH: '' };
    step('Unpack', [...alone, '/bin/sh', join(bundle, 'unpack.sh'), target], bare);
    const flags = ['--device', values['selftest-device'], ...(values.quick ? ['--quick'] : [])];
    step('Self-test', [...alone, join(target, 'bin', 'roentgen'), 'worker', 'selftest', ...flags], bare);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
