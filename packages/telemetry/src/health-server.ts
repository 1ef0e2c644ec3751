import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { UnavailableError } from '@roentgen/domain';
import type { Metrics } from './metrics.js';
import type { Readiness } from './readiness.js';

/** Where to listen. */
export interface HealthAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

interface Parts {
  readonly readiness: Readiness;
  readonly metrics: Metrics;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
/** Who opens a connection and says nothing does not keep it. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * `/healthz`: the process lives and its event loop turns, for this is who answers. `/readyz`: 200 while it can do its work, else 503, with what it
 * stands on. `/metrics`: for Prometheus. No token, so it belongs on an address that only operators reach.
 */
export class HealthServer {
  private constructor(
    private readonly server: Server,
    private readonly host: string,
  ) {}

  /** @param address null: nobody asked for one @throws UnavailableError when the port is taken */
  static async start(address: HealthAddress | null, parts: Parts): Promise<HealthServer | null> {
    if (address === null) return null;
    parts.metrics.includeProcess();
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => void respond(parts, request, response));
    server.listen(address.port, address.host);
    try {
      await once(server, 'listening');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UnavailableError(
        `Health and metrics cannot be served on ${address.host}:${address.port} (${reason}). Stop what listens there, or set another …_HEALTH_PORT.`,
        { ...address },
        { cause },
      );
    }
    // A process that has nothing else left to do ends.
    server.unref();
    return new HealthServer(server, address.host);
  }

  /** `http://host:port`, without a path. */
  get url(): string {
    const address = this.server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return `http://${this.host.includes(':') ? `[${this.host}]` : this.host}:${port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

async function respond(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, type, body } = await answerTo(parts, request).catch((): Answer => ({
    status: 500,
    type: TEXT_TYPE,
    body: 'internal error\n',
  }));
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? '' : body);
}

async function answerTo({ readiness, metrics }: Parts, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type: TEXT_TYPE, body: 'only GET and HEAD\n' };
  switch (request.url?.split('?')[0]) {
    case '/healthz':
      return { status: 200, type: JSON_TYPE, body: JSON.stringify({ ok: true }) };
    case '/readyz': {
      const report = await readiness.report();
      return { status: report.ready ? 200 : 503, type: JSON_TYPE, body: JSON.stringify(report) };
    }
    case '/metrics':
      return { status: 200, type: metrics.contentType, body: await metrics.text() };
    default:
      return { status: 404, type: TEXT_TYPE, body: 'There are /healthz, /readyz and /metrics.\n' };
  }
}
