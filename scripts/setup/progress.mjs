const LIVE_INTERVAL_MS = 120;
const PLAIN_INTERVAL_MS = 10_000;

/**
 * @typedef {(fraction: number | undefined, detail?: string) => void} Report `fraction` is in [0, 1]; undefined where the end is not known
 * @typedef {{ task<T>(label: string, work: (report: Report) => Promise<T>): Promise<T> }} Progress
 */

/** `75 s` or `2 min 5 s`. @param {number} milliseconds */
export function formatElapsed(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** @param {{ label: string, startedAt: number, fraction: number | undefined, detail: string }} task @param {number} now */
export function describeTask(task, now) {
  const percent = task.fraction === undefined ? '' : ` ${String(Math.floor(task.fraction * 100)).padStart(2)} %`;
  return `${task.label}${task.detail && ` (${task.detail})`}${percent} ${formatElapsed(now - task.startedAt)}`;
}

/**
 * Shows the tasks that are running: one live line on a terminal, a plain line each 10 s elsewhere, and one line for each that ends.
 *
 * @param {{ write(text: string): unknown, isTTY?: boolean, columns?: number }} [stream]
 * @returns {Progress}
 */
export function createProgress(stream = process.stderr) {
  const running = new Set();
  const live = stream.isTTY === true;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const clear = () => live && stream.write('\r\u001b[K');
  const draw = () => {
    const now = Date.now();
    if (!live) {
      for (const task of running) stream.write(`  … ${describeTask(task, now)}\n`);
      return;
    }
    const line = `  … ${[...running].map((task) => describeTask(task, now)).join('  ·  ')}`;
    stream.write(`\r\u001b[K${line.slice(0, (stream.columns ?? 80) - 1)}`);
  };
  const finish = (/** @type {unknown} */ task, /** @type {string} */ line) => {
    running.delete(task);
    clear();
    stream.write(line);
    if (running.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
  return {
    async task(label, work) {
      const task = { label, startedAt: Date.now(), fraction: /** @type {number | undefined} */ (undefined), detail: '' };
      running.add(task);
      if (!live) stream.write(`  … ${label}\n`);
      timer ??= setInterval(draw, live ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS).unref();
      try {
        const result = await work((fraction, detail) => {
          task.fraction = fraction;
          task.detail = detail ?? '';
        });
        finish(task, `  ✓ ${label} ${formatElapsed(Date.now() - task.startedAt)}\n`);
        return result;
      } catch (error) {
        finish(task, `  ✗ ${label} ${formatElapsed(Date.now() - task.startedAt)}\n`);
        throw error;
      }
    },
  };
}
