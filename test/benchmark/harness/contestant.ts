import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { z } from 'zod';

const ReadySchema = z.object({
  /** Model, graph and weights, without the loading of libraries. */
  buildSeconds: z.number().nonnegative(),
  firstStepSeconds: z.number().nonnegative(),
});
const RoundSchema = z.object({
  stepMs: z.array(z.number().positive()).min(1),
  peakBytes: z.number().positive(),
  /** Per step, only ours: time outside the native calls, and time in those that move data between JavaScript and TensorFlow. */
  javascriptMs: z.array(z.number()).optional(),
  copyMs: z.array(z.number()).optional(),
});
export type Ready = z.output<typeof ReadySchema>;
export type Round = z.output<typeof RoundSchema>;

export interface ContestantSpec {
  readonly name: string;
  readonly command: string;
  /** The set-up follows as JSON. */
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly setup: Readonly<Record<string, unknown>>;
}

const KEPT_CHARACTERS = 4000;

/**
 * One program in a process of its own, which says one line of JSON when it has made its first step, then answers each line
 * `{"steps": n}` with one line about n steps. It computes only when it is asked to, and ends when its standard input does.
 */
export class Contestant {
  private errorText = '';
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.errorText = (this.errorText + text).slice(-KEPT_CHARACTERS)));
    // A contestant that died is noticed by the end of its output.
    child.stdin!.on('error', () => undefined);
    this.reader = createInterface({ input: child.stdout! });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  /** Resolves after its first step. @throws Error with the end of what it wrote to stderr */
  static async start({ name, command, args, environment, setup }: ContestantSpec): Promise<{ contestant: Contestant; ready: Ready }> {
    const child = spawn(command, [...args, JSON.stringify(setup)], { env: { ...process.env, ...environment }, stdio: 'pipe' });
    child.once('error', (error) => child.stderr.push(error.message));
    const contestant = new Contestant(name, child);
    try {
      return { contestant, ready: await contestant.answer(ReadySchema) };
    } catch (error) {
      await contestant.stop();
      throw error;
    }
  }

  run(steps: number): Promise<Round> {
    this.child.stdin!.write(`${JSON.stringify({ steps })}\n`);
    return this.answer(RoundSchema);
  }

  async stop(): Promise<void> {
    this.child.stdin!.end();
    this.reader.close();
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    // It only waits for the next line or is in a step that nobody needs any more.
    this.child.kill('SIGKILL');
    await exit;
  }

  private async answer<S extends z.ZodType>(schema: S): Promise<z.output<S>> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error(`${this.name} ended without an answer. Its last words:\n${this.errorText.trim()}`);
    return schema.parse(JSON.parse(value));
  }
}
