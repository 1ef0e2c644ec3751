/**
 * `npm test`: sets up what is missing, then checks format, lint, types and generated files, then runs all tests against the real parts.
 * With arguments only the tests run, and the arguments go to vitest: `npm test -- --project unit packages/datasets`. Without, all but the fault
 * matrix runs, which takes longer than all the rest: `npm run test:faults`.
 * The last line is always `N passed, N failed`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetupFailure } from './setup/failure.mjs';
import { ROOT, setUp } from './setup/index.mjs';
import { formatElapsed } from './setup/progress.mjs';
import { addCounts, countLine, readVitestCounts } from './test-counts.mjs';

const CHECKS = ['format:check', 'lint', 'types', 'schema:check', 'client:check'];

/** One check of package.json; its output is shown only when it fails. @param {string} name */
function runCheck(name) {
  const startedAt = Date.now();
  const npm = process.env.npm_execpath;
  const [command, ...prefix] = npm === undefined ? ['npm'] : [process.execPath, npm];
  const { status, stdout, stderr } = spawnSync(command, [...prefix, 'run', '--silent', name], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const passed = status === 0;
  console.log(`${passed ? '✓' : '✗'} ${name} ${formatElapsed(Date.now() - startedAt)}`);
  if (!passed) console.log(`${stdout}${stderr}`);
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1 };
}

/** @param {string[]} args */
async function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-test-'));
  const report = join(folder, 'report.json');
  try {
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const child = spawn(
      process.execPath,
      [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
      {
        cwd: ROOT,
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    );
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
    const code = await new Promise((resolve) => child.once('exit', resolve).once('error', () => resolve(1)));
    return readVitestCounts(report, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main() {
  const args = process.argv.slice(2);
  try {
    await setUp();
    const checks = args.length === 0 ? CHECKS.map(runCheck) : [];
    return addCounts([...checks, await runVitest(args.length === 0 ? ['--project', '!faults'] : args)]);
  } catch (error) {
    console.error(error instanceof SetupFailure ? error.message : error);
    return { passed: 0, failed: 1 };
  }
}

const counts = await main();
console.log(countLine(counts));
process.exitCode = counts.failed === 0 ? 0 : 1;
