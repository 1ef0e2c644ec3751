import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type ReadyLine = Readonly<Record<string, unknown>>;

export interface ServiceDefinition {
  /** Unique among the services of one `up`; also the name of its log file. */
  readonly name: string;
  readonly entryPoint: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly logPath: string;
  /** Whether it is started again when it ends by itself; default true. */
  readonly restarts?: boolean;
}

export interface ServiceTimings {
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly firstRestartMs: number;
  readonly longestRestartMs: number;
  /** A service that lived this long starts over with the first, short pause. */
  readonly settledAfterMs: number;
}

const TIMINGS: ServiceTimings = {
  // A worker's first start on a machine includes its self-test.
  readyTimeoutMs: 240_000,
  stopTimeoutMs: 70_000,
  firstRestartMs: 500,
  longestRestartMs: 30_000,
  settledAfterMs: 60_000,
};
const LOG_TAIL_LINES = 20;
const EXIT_WITH_PARENT = new URL('../../bin/exit-with-parent.mjs', import.meta.url).href;
/** Resolved here: the service's own folder need not have it. */
export const TSX = import.meta.resolve('tsx');
export const REPOSITORY_ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** A service did not start, or ended before it was ready; the message ends with its last log lines. */
export class ServiceStartError extends Error {
  override readonly name = 'ServiceStartError';
}

/** One process of ours that is kept running: started, waited for, restarted with growing pauses when it ends by itself, stopped. */
export class Service {
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('not started');
  #wanted = false;
  #restarts = 0;
  #restartTimer: NodeJS.Timeout | undefined;

  /** @param onCrash told about each end that nobody asked for, and how long the restart waits */
  constructor(
    private readonly definition: ServiceDefinition,
    private readonly onCrash: (name: string, reason: string, restartInMs: number) => void,
    private readonly timings: ServiceTimings = TIMINGS,
  ) {}

  get name(): string {
    return this.definition.name;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process, waits for its ready line, and keeps it running from then on. @throws ServiceStartError */
  start(): Promise<ReadyLine> {
    this.#wanted = true;
    return this.#launch();
  }

  /** Asks it to end and waits, then forces it. Idempotent. */
  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restartTimer);
    await this.#end();
  }

  /** Sends a signal, as if it came from outside; what follows is what follows a crash. For fault tests. */
  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when the process that runs now has ended. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  async #launch(): Promise<ReadyLine> {
    const startedAt = Date.now();
    const ready = readyLine(this.#spawn());
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`was not ready within ${this.timings.readyTimeoutMs / 1000} s`), this.timings.readyTimeoutMs);
    });
    const first = await Promise.race([ready, this.#ended, timeout]);
    clearTimeout(timer);
    if (typeof first === 'string') {
      await this.#end();
      throw new ServiceStartError(`${this.name} ${first}. The end of ${this.definition.logPath}:\n${this.#logTail()}`);
    }
    void this.#ended.then((reason) => this.#restartAfter(reason, startedAt));
    return first;
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const force = setTimeout(() => child.kill('SIGKILL'), this.timings.stopTimeoutMs);
    child.kill('SIGTERM');
    await this.#ended;
    clearTimeout(force);
  }

  #spawn(): ChildProcess {
    const { entryPoint, environment, logPath } = this.definition;
    const log = openSync(logPath, 'a', 0o600);
    const child = spawn(process.execPath, ['--import', TSX, '--import', EXIT_WITH_PARENT, entryPoint], {
      cwd: REPOSITORY_ROOT,
      env: { ...environment, ROENTGEN_STDIN_HELD_BY: String(process.pid) },
      stdio: ['pipe', 'pipe', log],
      // Its own process group: Ctrl-C reaches `up` alone, which stops the services in order.
      detached: true,
    });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => resolve(`ended with ${signal ?? `exit code ${code}`}`));
    }).then((reason) => {
      this.#child = undefined;
      return String(reason);
    });
    return child;
  }

  #restartAfter(reason: string, startedAt: number): void {
    if (!this.#wanted || this.definition.restarts === false) return;
    if (Date.now() - startedAt > this.timings.settledAfterMs) this.#restarts = 0;
    const pauseMs = Math.min(this.timings.firstRestartMs * 2 ** this.#restarts++, this.timings.longestRestartMs);
    this.onCrash(this.name, reason, pauseMs);
    this.#restartTimer = setTimeout(() => {
      this.#launch().catch((error: unknown) =>
        this.#restartAfter(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error), Date.now()),
      );
    }, pauseMs);
  }

  #logTail(): string {
    const lines = readFileSync(this.definition.logPath, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
    return lines.map((line) => `  ${line}`).join('\n');
  }
}

/** The first line of stdout that is JSON with `ready`; lines before and after it are let go. */
function readyLine(child: ChildProcess): Promise<ReadyLine> {
  return new Promise((resolve) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const value = parsedObject(line);
      if (value !== null && 'ready' in value) resolve(value);
    });
  });
}

function parsedObject(line: string): ReadyLine | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
