import { fork, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import type { Logger } from '@roentgen/logger';
import { LastWords } from './last-words.js';
import { memoryKills, type Death } from './post-mortem.js';
import { RestartBackoff, type BackoffOptions } from './restart-backoff.js';
import { StderrFilter } from './stderr-filter.js';

/** The compute process could not start and says why itself; starting it again would not help. */
export const EXIT_CANNOT_START = 1;
/** The compute process found itself in a state that it cannot go on from. */
export const EXIT_BROKEN = 70;

export interface SupervisorOptions {
  /** Module that the compute process runs, with the same Node options as this one. */
  readonly entry: URL;
  readonly environment: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Where the compute process's standard error goes. */
  readonly stderr: Writable;
  /** How long a stop may take before the compute process is killed. */
  readonly stopGraceMs: number;
  readonly onMessage: (message: unknown) => void;
  /** Told of each end that is not a clean one, before the process is started again. */
  readonly onDeath?: (death: Death) => Promise<void>;
  readonly backoff?: BackoffOptions;
}

const DEFAULT_BACKOFF: BackoffOptions = { firstMs: 500, longestMs: 30_000, healthyAfterMs: 60_000 };

/**
 * Keeps one compute process running. TensorFlow aborts its process where it meets what it takes for a programming error, and nothing
 * inside that process can catch it: so this one, which holds nothing, starts it again.
 */
export class Supervisor {
  private child: ChildProcess | null = null;
  private stopping = false;
  private readonly backoff: RestartBackoff;
  private wake: () => void = () => undefined;

  constructor(private readonly options: SupervisorOptions) {
    this.backoff = new RestartBackoff(options.backoff ?? DEFAULT_BACKOFF);
  }

  /** Runs until the compute process ends cleanly, cannot start, or is stopped; the exit code for this process. */
  async run(): Promise<number> {
    for (;;) {
      const startedMs = performance.now();
      const killsBefore = memoryKills();
      const { code, signal, lastWords } = await this.runOnce();
      if (code === 0) return 0;
      const killedForMemory = (memoryKills() ?? 0) > (killsBefore ?? 0);
      const reported = this.options.onDeath?.({ code, signal, lastWords, stopping: this.stopping, killedForMemory });
      if (this.stopping) await reported;
      if (this.stopping) return code ?? (signal === 'SIGKILL' ? 1 : 0);
      if (code === EXIT_CANNOT_START) return code;
      const pauseMs = this.backoff.pauseAfter(performance.now() - startedMs);
      this.options.logger.error({ code, signal, lastWords, pauseMs }, 'the compute process ended unexpectedly; it is started again');
      await Promise.all([this.pause(pauseMs), reported]);
      if (this.stopping) return 0;
    }
  }

  /** Asks the compute process to stop; kills it when that takes too long. */
  stop(signal: NodeJS.Signals): void {
    if (this.stopping) return;
    this.stopping = true;
    this.wake();
    const { child } = this;
    if (child === null) return;
    child.kill(signal);
    const timer = setTimeout(() => {
      this.options.logger.error({ stopGraceMs: this.options.stopGraceMs }, 'the compute process did not stop in time and is killed');
      child.kill('SIGKILL');
    }, this.options.stopGraceMs);
    child.once('exit', () => clearTimeout(timer));
  }

  private runOnce(): Promise<Pick<Death, 'code' | 'signal' | 'lastWords'>> {
    const { entry, environment, stderr, onMessage } = this.options;
    return new Promise((resolve, reject) => {
      // Standard output belongs to what the supervisor prints: whatever the process writes there goes to standard error.
      const child = fork(entry, { env: { ...environment }, stdio: ['ignore', 2, 'pipe', 'ipc'] });
      this.child = child;
      const filter = new StderrFilter();
      const lastWords = new LastWords();
      child.stderr?.pipe(filter).pipe(stderr, { end: false });
      filter.on('data', (chunk: Buffer) => lastWords.add(chunk.toString('utf8')));
      child.on('message', onMessage);
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.child = null;
        resolve({ code, signal, lastWords: lastWords.text });
      });
    });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
