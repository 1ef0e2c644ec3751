import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/**
 * Reads lists of process ids, one line each, and keeps the last. When the pipe closes, because its writer ended in whatever way (also by
 * `kill -9`), it ends those processes: SIGINT, on which all three parts stop cleanly, then SIGKILL after 5 s. Its arguments are removed at the end.
 */
const SCRIPT = `
trap '' INT TERM HUP
pids=
alive() { { read -r _ _ state _ < "/proc/$1/stat"; } 2>/dev/null && [ "$state" != Z ]; }
some_alive() { for pid in $pids; do alive "$pid" && return 0; done; return 1; }
while read -r line; do pids=$line; done
for pid in $pids; do kill -INT "$pid" 2>/dev/null; done
tries=0
while some_alive && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
rm -rf -- "$@"
`;

/** Ends the parts when this process is gone. Node cannot ask the kernel for that (PR_SET_PDEATHSIG), so a shell waits at the end of a pipe. */
export class Watchdog {
  private readonly shell: ChildProcess;

  /** @param removeAtEnd paths to remove at the end, whichever way it comes */
  constructor(removeAtEnd: readonly string[]) {
    this.shell = spawn('/bin/sh', ['-c', SCRIPT, 'roentgen-watchdog', ...removeAtEnd], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.shell.stdin?.on('error', () => undefined);
    // It must not keep this process alive; while it lives, the open pipe is what counts.
    this.shell.unref();
  }

  /** The processes that are to die with this one. */
  guard(pids: readonly number[]): void {
    this.shell.stdin?.write(`${pids.join(' ')}\n`);
  }

  /** Nothing is left to guard; resolves when it has cleaned up. */
  async close(): Promise<void> {
    const closed = this.shell.exitCode === null && this.shell.signalCode === null ? once(this.shell, 'exit') : undefined;
    this.shell.ref();
    this.shell.stdin?.end('\n');
    await closed;
  }
}
