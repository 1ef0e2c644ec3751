import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceRole } from '@roentgen/protocol';
import { InterruptedError } from '../failure.js';
import { gpuOfWorker } from './gpus.js';
import { type Parts, type RunningParts, serviceEnvironment, startParts } from './parts.js';
import { REPOSITORY_ROOT, Service } from './service.js';

export interface InstallationOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Everything that must survive: database, objects, secrets, logs. */
  readonly dataDirectory: string;
  readonly workers: number;
  readonly port: number;
  /** Told what happens, in words. */
  readonly note: (text: string) => void;
  /** Given the tokens as soon as there are any. */
  readonly onSetup: (report: SetupReport) => void;
  /** Ends the start early. */
  readonly signal: AbortSignal;
}

/** What `setup-main` of the gateway reports. */
export interface SetupReport {
  /** A new admin token, the only time that it can be seen; null where there was one already. */
  readonly adminToken: string | null;
  /** A short-lived one for what `up` does itself. */
  readonly sessionToken: string;
}

/** A whole Roentgen on one machine: parts, gateway, coordinator and workers. */
export class Installation {
  readonly #services: Service[] = [];
  #running: RunningParts | undefined;
  #closing: Promise<void> | undefined;
  #url = '';
  #setup: SetupReport | undefined;

  private constructor(private readonly options: InstallationOptions) {}

  /** Starts everything and returns when the API answers and the workers are there; on failure stops what had started. */
  static async start(options: InstallationOptions): Promise<Installation> {
    const installation = new Installation(options);
    const stop = () => void installation.close();
    options.signal.addEventListener('abort', stop, { once: true });
    try {
      await installation.#start();
      options.signal.throwIfAborted();
      return installation;
    } catch (error) {
      await installation.close();
      throw options.signal.aborted ? options.signal.reason : error;
    } finally {
      options.signal.removeEventListener('abort', stop);
    }
  }

  /** Address of the API, such as http://127.0.0.1:4400/graphql. */
  get url(): string {
    return this.#url;
  }

  get setup(): SetupReport {
    if (this.#setup === undefined) throw new TypeError('the installation has not been set up');
    return this.#setup;
  }

  /** Stops everything in the reverse order of its start; idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #start(): Promise<void> {
    const { environment, dataDirectory, note } = this.options;
    mkdirSync(join(dataDirectory, 'logs'), { recursive: true, mode: 0o700 });
    this.#running = await startParts(environment, join(dataDirectory, 'stack'), (part, reason) =>
      note(`${part} ${reason}; the services wait for it. Stop and start again if it stays away.`),
    );
    const { parts } = this.#running;
    // A worker takes longest to load and needs neither schema nor gateway: it starts beside the rest.
    const workers = Array.from({ length: this.options.workers }, (_, index) =>
      this.#service(`worker-${index + 1}`, 'worker', parts, { WORKER_NAME: `worker-${index + 1}`, ...gpuOfWorker(index, environment) }),
    );
    const [, ready] = await Promise.all([Promise.all(workers.map((worker) => worker.start())), this.#startControl(parts)]);
    this.#url = ready;
  }

  /** Schema and tokens first, then coordinator and gateway side by side. @returns the address of the API */
  async #startControl(parts: Parts): Promise<string> {
    this.#setup = await runSetup({ ...serviceEnvironment('gateway', parts, this.options.environment) });
    this.options.onSetup(this.#setup);
    const coordinator = this.#service('coordinator', 'coordinator', parts);
    const gateway = this.#service('gateway', 'gateway', parts, { GATEWAY_PORT: String(this.options.port) });
    const [, ready] = await Promise.all([coordinator.start(), gateway.start()]);
    if (typeof ready.url !== 'string') throw new Error(`the gateway's ready line has no url: ${JSON.stringify(ready)}`);
    return ready.url;
  }

  #service(name: string, role: ServiceRole, parts: Parts, settings: Readonly<Record<string, string>> = {}): Service {
    // The start goes on in several places at once; after `close` none of them may add a process that nobody stops.
    if (this.#closing !== undefined) throw new InterruptedError('stopped while it was starting');
    const { dataDirectory, environment, note } = this.options;
    const service = new Service(
      {
        name,
        entryPoint: join(REPOSITORY_ROOT, 'services', role, 'src', 'main.ts'),
        environment: { ...serviceEnvironment(role, parts, environment), ...settings },
        logPath: join(dataDirectory, 'logs', `${name}.log`),
      },
      (crashed, reason, restartInMs) =>
        note(`${crashed} ${reason}; starting it again in ${restartInMs / 1000} s (log: ${join(dataDirectory, 'logs', `${crashed}.log`)})`),
    );
    this.#services.push(service);
    return service;
  }

  async #close(): Promise<void> {
    const of = (match: (name: string) => boolean) =>
      this.#services.filter((service) => match(service.name)).map((service) => service.stop());
    await Promise.all(of((name) => name === 'gateway'));
    // Workers first tell the coordinator that they leave.
    await Promise.all(of((name) => name.startsWith('worker-')));
    await Promise.all(of((name) => name === 'coordinator'));
    await this.#running?.stack?.stop();
  }
}

/** How long the token that `up` itself uses is good for; the demo takes minutes. */
const SESSION_HOURS = 12;

/** Brings the database schema up to date and makes tokens. @throws Error with what the command wrote to stderr */
export async function runSetup(environment: Readonly<Record<string, string>>, sessionHours = SESSION_HOURS): Promise<SetupReport> {
  const entryPoint = join(REPOSITORY_ROOT, 'services', 'gateway', 'src', 'setup-main.ts');
  const args = ['--import', import.meta.resolve('tsx'), entryPoint, '--ensure-admin-token', '--session-token', String(sessionHours)];
  const child = spawn(process.execPath, args, { cwd: REPOSITORY_ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const report = code === 0 ? setupReport(texts.stdout) : null;
  if (report === null)
    throw new Error(`Setting up the database failed (exit code ${code}):\n${texts.stderr.trim().split('\n').slice(-20).join('\n')}`);
  return report;
}

function setupReport(stdout: string): SetupReport | null {
  try {
    const value: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    if (typeof value !== 'object' || value === null || !('sessionToken' in value) || typeof value.sessionToken !== 'string') return null;
    const adminToken = 'adminToken' in value && typeof value.adminToken === 'string' ? value.adminToken : null;
    return { adminToken, sessionToken: value.sessionToken };
  } catch {
    return null;
  }
}
