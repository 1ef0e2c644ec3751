import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { z } from 'zod';
import { ensurePeer } from '../../scripts/setup/peers.mjs';
import type { Peer } from '../../scripts/setup/peers.mjs';

const AnswerSchema = z.union([z.strictObject({ answer: z.unknown() }), z.strictObject({ error: z.string() })]);

const KEPT_CHARACTERS = 4000;
const ENVIRONMENT = {
  // Where a GPU is at hand, nobody uses it: parity is of float32 on a CPU.
  CUDA_VISIBLE_DEVICES: '-1',
  PYTHONNOUSERSITE: '1',
  PYTHONDONTWRITEBYTECODE: '1',
} as const;

/** A Python program of ./peers that answers one line of JSON with another, and ends when its input does. */
export class PeerProcess {
  private errorText = '';
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.errorText = (this.errorText + text).slice(-KEPT_CHARACTERS)));
    // A peer that died is noticed by the end of its output.
    child.stdin!.on('error', () => undefined);
    child.once('error', (error) => child.stderr!.push(error.message));
    this.reader = createInterface({ input: child.stdout! });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  /** Installs the peer's packages first, where they are not in the cache yet. */
  static async start(name: Peer): Promise<PeerProcess> {
    const environment = { ...process.env, ...ENVIRONMENT, PYTHONPATH: await ensurePeer(name) };
    const program = join(import.meta.dirname, 'peers', `${name}_peer.py`);
    return new PeerProcess(name, spawn('python3', [program], { env: environment, stdio: 'pipe' }));
  }

  /** @throws Error with the peer's traceback */
  async ask<S extends z.ZodType>(command: string, request: object, answerSchema: S): Promise<z.output<S>> {
    this.child.stdin!.write(`${JSON.stringify({ command, ...request })}\n`);
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error(`${this.name} ended without an answer to "${command}". Its last words:\n${this.errorText.trim()}`);
    const reply = AnswerSchema.parse(JSON.parse(value));
    if ('error' in reply) throw new Error(`${this.name} failed at "${command}":\n${reply.error.trim()}`);
    return answerSchema.parse(reply.answer);
  }

  async stop(): Promise<void> {
    this.child.stdin!.end();
    this.reader.close();
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    // It only waits for the next line, or is at something that nobody needs any more.
    this.child.kill('SIGKILL');
    await exit;
  }
}

/** Each peer is started when the first case needs it. */
export class Peers {
  private readonly started = new Map<Peer, Promise<PeerProcess>>();

  get(name: Peer): Promise<PeerProcess> {
    const found = this.started.get(name) ?? PeerProcess.start(name);
    this.started.set(name, found);
    return found;
  }

  async stop(): Promise<void> {
    const settled = await Promise.allSettled(this.started.values());
    await Promise.all(settled.map((result) => (result.status === 'fulfilled' ? result.value.stop() : undefined)));
  }
}
