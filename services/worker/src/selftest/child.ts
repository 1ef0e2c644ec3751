import { fork } from 'node:child_process';
import { keepUnexpected } from '../supervisor/stderr-filter.js';
import { TaskMessageSchema, type Task, type TaskMessage } from './tasks.js';

/** What came of a task. */
export interface TaskResult {
  readonly messages: readonly TaskMessage[];
  /** How the process ended, where it did not end as it should. */
  readonly ended: string | null;
  /** What TensorFlow wrote, without the lines that say nothing. */
  readonly stderr: string;
}

/** Does one task with these variables set from the start. */
export type TaskRunner = (task: Task, environment: Readonly<Record<string, string>>) => Promise<TaskResult>;

export interface ChildOptions {
  readonly entry: URL;
  /** Node options of the child; those of this process by default. */
  readonly execArgv?: readonly string[];
  /** Then it is killed. */
  readonly timeoutMs: number;
  /** Kills it. */
  readonly signal: AbortSignal;
}

/** Runs each task in a process of its own: TensorFlow may abort it, and that is one result among others. */
export const childRunner =
  ({ entry, execArgv = process.execArgv, timeoutMs, signal }: ChildOptions): TaskRunner =>
  (task, environment) =>
    new Promise((resolve, reject) => {
      // Killed and not asked: inside a call into TensorFlow no signal is heard.
      const child = fork(entry, [JSON.stringify(task)], {
        env: { ...environment },
        execArgv: [...execArgv],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        killSignal: 'SIGKILL',
        signal,
      });
      const messages: TaskMessage[] = [];
      let stderr = '';
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, timeoutMs);
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
      child.on('message', (message) => messages.push(TaskMessageSchema.parse(message)));
      child.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      child.once('close', (code, endSignal) => {
        clearTimeout(timer);
        const ended = timedOut ? `took longer than ${timeoutMs / 1000} s and was killed` : endOf(code, endSignal);
        resolve({ messages, ended, stderr: keepUnexpected(Buffer.from(stderr)) });
      });
    });

function endOf(code: number | null, signal: NodeJS.Signals | null): string | null {
  if (code === 0) return null;
  return signal === null ? `its process ended with exit code ${code}` : `its process was ended by ${signal}`;
}
