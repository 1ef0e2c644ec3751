import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';

/** What a process asks the object store, as far as tests tell requests apart by it. */
export interface StoreRequest {
  readonly method: string;
  /** Below the bucket. */
  readonly key: string;
  /** Of a large object that is sent in parts; null where it is sent at once. */
  readonly partNumber: number | null;
}

/** A request that waits at the gate. */
export interface Held {
  readonly request: StoreRequest;
  /** Lets it through, if whoever asked is still there. */
  release(): void;
}

export interface HoldOptions {
  readonly matches: (request: StoreRequest) => boolean;
  /** Which of those that match; 1, the default, is the first. */
  readonly nth?: number;
  /** `before`: the store has not seen it; `after`: it is done, and whoever asked does not know yet. Default `before`. */
  readonly when?: 'before' | 'after';
}

interface Hold extends Required<HoldOptions> {
  seen: number;
  readonly reached: (held: Held) => void;
}

/**
 * Stands before the object store, for the processes that are told its address. A test has one request wait, and so knows exactly where in its work the process
 * is that made it. What is not waited for passes through, host header and signature included.
 */
export class StoreGate {
  private readonly agent = new Agent({ keepAlive: true });
  private readonly holds = new Set<Hold>();
  private readonly waiting = new Set<() => void>();

  private constructor(
    private readonly server: Server,
    private readonly target: URL,
  ) {}

  static async open(storeEndpoint: string): Promise<StoreGate> {
    const server = createServer((incoming, outgoing) => void gate.pass(incoming, outgoing));
    // A worker that was stopped comes back to its connections.
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const gate = new StoreGate(server, new URL(storeEndpoint));
    return gate;
  }

  get endpoint(): string {
    const address = this.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the gate is closed');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Resolves when the request has come; it waits from then on. To be called before what leads to the request. */
  hold({ matches, nth = 1, when = 'before' }: HoldOptions): Promise<Held> {
    return new Promise((resolve) => {
      const hold: Hold = {
        ...{ matches, nth, when, seen: 0 },
        reached: (held) => {
          this.holds.delete(hold);
          resolve(held);
        },
      };
      this.holds.add(hold);
    });
  }

  /** Lets everything through that waits, and stops looking out for requests. */
  open(): void {
    this.holds.clear();
    for (const release of this.waiting) release();
  }

  async close(): Promise<void> {
    this.open();
    this.server.close();
    this.server.closeAllConnections();
    this.agent.destroy();
    await Promise.resolve();
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const asked = storeRequest(incoming);
    const hold = [...this.holds].find((candidate) => candidate.matches(asked) && ++candidate.seen === candidate.nth);
    if (hold?.when === 'before') await this.wait(hold, asked, outgoing);
    if (outgoing.destroyed) return;
    const { method, url, headers } = incoming;
    const forwarded = request(
      { host: this.target.hostname, port: this.target.port, agent: this.agent, path: url ?? '/', method: method ?? 'GET', headers },
      (answer) => {
        void (async () => {
          if (hold?.when === 'after') await this.wait(hold, asked, outgoing);
          outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
          pipeline(answer, outgoing, () => undefined);
        })();
      },
    );
    forwarded.on('error', () => outgoing.destroy());
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) forwarded.destroy();
    });
    pipeline(incoming, forwarded, () => undefined);
  }

  /** Until the test lets it through, or whoever asked is gone. */
  private wait(hold: Hold, asked: StoreRequest, outgoing: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const release = () => {
        this.waiting.delete(release);
        resolve();
      };
      this.waiting.add(release);
      outgoing.once('close', release);
      hold.reached({ request: asked, release });
    });
  }
}

function storeRequest({ method = '', url = '/' }: IncomingMessage): StoreRequest {
  const { pathname, searchParams } = new URL(url, 'http://store');
  const part = searchParams.get('partNumber');
  return {
    method,
    key: decodeURIComponent(pathname).split('/').slice(2).join('/'),
    partNumber: part === null ? null : Number(part),
  };
}
