import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ROOT } from './index.mjs';

const PASSED_ON = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * Runs a TypeScript program of this repository in place of this one: same terminal, signals passed on, same exit code.
 *
 * @param {string} entry path from the repository's root
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
export function handOver(entry, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', entry, ...args], { stdio: 'inherit', cwd: ROOT });
    for (const signal of PASSED_ON) {
      process.on(signal, () => {
        // Ctrl-C on a terminal has reached the child already: it goes to every process in the foreground.
        if (signal !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(signal);
      });
    }
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}
