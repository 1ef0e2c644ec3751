import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { StackPartError } from './errors.js';
import type { PartName } from './stack.js';

const READY_TIMEOUT_MS = 60_000;
const PROBE_INTERVAL_MS = 20;
const STOP_TIMEOUT_MS = 10_000;
const LOG_TAIL_LINES = 15;

/** How one part is run; everything that differs between the three. */
export interface PartDefinition {
  readonly name: PartName;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logPath: string;
  /** Ends it cleanly. */
  readonly stopSignal: NodeJS.Signals;
  /** Whether it answers in its own protocol; must not throw. */
  readonly probe: () => Promise<boolean>;
}

/** The last lines of a log for an error message. */
export function logTail(path: string): string {
  if (!existsSync(path)) return '(no log)';
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
  return lines.map((line) => `  ${line}`).join('\n');
}

/** One program of the stack. */
export class Part {
  private child: ChildProcess | undefined;
  private ended: Promise<string> = Promise.resolve('never started');
  private expected = false;

  /** @param onChange called after each start and end of the process; `reason` is set when nobody asked for the end */
  constructor(
    private readonly definition: PartDefinition,
    private readonly onChange: (part: Part, reason?: string) => void,
  ) {}

  get name(): PartName {
    return this.definition.name;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Starts the process and waits until it answers. @throws {StackPartError} with the end of its log */
  async start(): Promise<void> {
    const { name, logPath } = this.definition;
    if (existsSync(logPath)) renameSync(logPath, `${logPath}.previous`);
    this.expected = false;
    this.ended = this.spawn();
    let reason: string | undefined;
    void this.ended.then((text) => (reason = text));
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.definition.probe())) {
      if (reason === undefined && Date.now() < deadline) {
        await delay(PROBE_INTERVAL_MS);
        continue;
      }
      const why = reason ?? `did not answer within ${READY_TIMEOUT_MS / 1000} s`;
      await this.stop();
      throw new StackPartError(`${name} ${why}. The end of ${logPath}:\n${logTail(logPath)}`, { part: name, logPath });
    }
  }

  /** Detached from the terminal's process group: Ctrl-C reaches the owner, which stops the parts after the services that use them. */
  private spawn(): Promise<string> {
    const { command, args, env, logPath } = this.definition;
    const log = openSync(logPath, 'a', 0o600);
    const child = spawn(command, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...env },
    });
    closeSync(log);
    this.child = child;
    return new Promise((resolve) => {
      child.once('spawn', () => this.onChange(this));
      const end = (reason: string) => {
        this.child = undefined;
        this.onChange(this, this.expected ? undefined : reason);
        resolve(reason);
      };
      child.once('error', (error) => end(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => end(`ended with ${signal ?? `exit code ${code}`}`));
    });
  }

  /** @see StackProcess.kill */
  async kill(signal: NodeJS.Signals): Promise<void> {
    this.expected = signal !== 'SIGSTOP' && signal !== 'SIGCONT';
    this.child?.kill(signal);
    if (this.expected) await this.ended;
  }

  /** Ends it cleanly, by force after 10 s. */
  async stop(): Promise<void> {
    if (this.child === undefined) return;
    this.expected = true;
    const force = setTimeout(() => this.child?.kill('SIGKILL'), STOP_TIMEOUT_MS);
    this.child.kill(this.definition.stopSignal);
    await this.ended;
    clearTimeout(force);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }
}
