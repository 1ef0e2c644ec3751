/**
 * Loaded into each service that `roentgen up` starts (`node --import`): ends the service when `up` is gone, also after `kill -9`. `up` holds the
 * other end of the service's stdin and never writes; the end of that pipe is the end of `up`.
 */
import { isMainThread } from 'node:worker_threads';

/** Long enough to say goodbye to parts that still answer. */
const CLOSE_TIMEOUT_MS = 5_000;

// A process that the service starts inherits this file's flag but not its stdin: only the direct child watches.
if (isMainThread && process.env.ROENTGEN_STDIN_HELD_BY === String(process.ppid)) {
  process.stdin.once('close', () => {
    setTimeout(() => process.exit(1), CLOSE_TIMEOUT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  process.stdin.on('error', () => undefined);
  process.stdin.resume();
  // It must not keep a service alive that has nothing else to do.
  process.stdin.unref();
}
