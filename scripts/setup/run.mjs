import { spawn } from 'node:child_process';
import { SetupFailure } from './failure.mjs';

const KEPT_LINES = 30;

/**
 * Runs a program to its end and returns what it wrote to stdout.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void, onSpawn?: (pid: number) => void, fix?: string }} [options]
 *   `onLine` sees each line of stdout
 * @returns {Promise<string>}
 * @throws {SetupFailure} on any exit code but 0, with the last lines of output
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, env: options.env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) options.onSpawn?.(child.pid);
    let stdout = '';
    let tail = '';
    let lineStart = 0;
    const keep = (/** @type {string} */ text) => (tail = (tail + text).slice(-16_000));
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      keep(text);
      for (let end = stdout.indexOf('\n', lineStart); end >= 0; end = stdout.indexOf('\n', lineStart)) {
        options.onLine?.(stdout.slice(lineStart, end));
        lineStart = end + 1;
      }
    });
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => reject(new SetupFailure(`${command} could not be started: ${error.message}`, options.fix)));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      const lastLines = tail.trimEnd().split('\n').slice(-KEPT_LINES).join('\n  ');
      reject(
        new SetupFailure(`\`${command} ${args.join(' ')}\` ended with ${signal ?? `exit code ${code}`}:\n  ${lastLines}`, options.fix),
      );
    });
  });
}
