const CHECK_EVERY_MS = 1000;

/**
 * Kills this process when its parent is gone. Killed without notice, the supervisor can neither stop nor restart it, and the main thread, deep in a
 * TensorFlow call, may hear of it late or never: so this is looked after from another thread.
 */
export function endWithParent(): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  }, CHECK_EVERY_MS).unref();
}
