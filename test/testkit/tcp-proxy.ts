import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between a service and a part that it depends on, so that a test can take the part away from that service alone. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private readonly pipes = new Set<readonly [Socket, Socket]>();
  private away = false;
  private frozen = false;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async open(target: { host: string; port: number }): Promise<TcpProxy> {
    const server = createServer((incoming) => proxy.forward(incoming, target));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const proxy = new TcpProxy(server, typeof address === 'object' && address !== null ? address.port : 0);
    return proxy;
  }

  /** Breaks every connection and takes no new one. */
  cut(): void {
    this.away = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Keeps every connection open and lets nothing through: as if the part had been stopped (SIGSTOP). */
  freeze(): void {
    this.frozen = true;
    for (const [from, to] of this.pipes) {
      from.unpipe(to);
      from.pause();
    }
  }

  /** Lets through what has piled up, and goes on. */
  thaw(): void {
    this.frozen = false;
    for (const [from, to] of this.pipes) from.pipe(to);
  }

  /** Takes connections again. */
  restore(): void {
    this.away = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(incoming: Socket, target: { host: string; port: number }): void {
    if (this.away) {
      incoming.destroy();
      return;
    }
    const outgoing = connect(target);
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.sockets.delete(one);
        this.pipes.delete(pipe);
        other.destroy();
      });
      const pipe = [one, other] as const;
      this.pipes.add(pipe);
      if (!this.frozen) one.pipe(other);
    }
  }
}

/** The same URL, by way of the proxy. */
export function through(proxy: TcpProxy, url: string): string {
  const via = new URL(url);
  via.hostname = '127.0.0.1';
  via.port = String(proxy.port);
  return via.toString().replace(/\/$/, '');
}

/** Where a URL leads. */
export function targetOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
