import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import { UnavailableError } from '@roentgen/domain';
import type { Subscription } from '@roentgen/messaging';
import { LiveRunEvents } from '@roentgen/protocol';
import { HealthServer } from '@roentgen/telemetry';
import type { GatewayConfig } from './config.js';
import { connectParts, createContext, type GatewayContext, type GatewayParts } from './context.js';
import type { RequestContext } from './graphql/request-context.js';
import { createApollo } from './http/apollo.js';
import { createApp } from './http/app.js';
import { GraphQLWebSocket } from './http/web-socket.js';

/** The GraphQL API. Holds no state of its own: any number of them run side by side. */
export class Gateway {
  private readonly apollo: ApolloServer<RequestContext>;
  private readonly webSocket: GraphQLWebSocket;
  private readonly releases: (() => void)[] = [];
  private health: HealthServer | null = null;
  private closing: Promise<void> | null = null;

  private constructor(
    private readonly config: Pick<GatewayConfig, 'host' | 'port' | 'health' | 'tokenRecheckMs'>,
    private readonly context: GatewayContext,
    private readonly owned: readonly { close(): Promise<void> }[],
    private readonly server: Server,
  ) {
    this.apollo = createApollo(context.schema, server, context.logger);
    this.webSocket = new GraphQLWebSocket(context, server, config.tokenRecheckMs);
  }

  /** Connects to what is not given in `overrides`; those parts stay the caller's to close. @throws UnavailableError */
  static async create(config: GatewayConfig, overrides: Partial<GatewayParts> = {}): Promise<Gateway> {
    const parts = await connectParts(config, overrides);
    const owned = [...(overrides.bus === undefined ? [parts.bus] : []), ...(overrides.database === undefined ? [parts.database] : [])];
    return new Gateway(config, await createContext(parts, config), owned, createServer());
  }

  /** @throws UnavailableError when the port is taken */
  async start(): Promise<void> {
    const { bus, feed, logger } = this.context;
    const live: Subscription = bus.subscribe(LiveRunEvents, [], ({ runId, events }) => feed.publish(runId, events));
    this.releases.push(
      () => live.unsubscribe(),
      bus.onReconnect(() => feed.resync()),
    );
    await this.apollo.start();
    const app = createApp(this.context, this.apollo);
    // An async Express app answers on its own; nothing waits for what it returns.
    this.server.on('request', (request, response) => void app(request, response));
    this.health = await HealthServer.start(this.config.health, this.context);
    await this.listen();
    this.context.readiness.started();
    logger.info({ url: this.url, healthUrl: this.healthUrl }, 'gateway is listening');
  }

  /** Where the API is, once started. */
  get url(): string {
    const address = this.server.address();
    const port = typeof address === 'object' && address !== null ? address.port : this.config.port;
    const { host } = this.config;
    return `http://${host.includes(':') ? `[${host}]` : host}:${port}/graphql`;
  }

  /** Where health and metrics are; null where nobody asked for them. */
  get healthUrl(): string | null {
    return this.health?.url ?? null;
  }

  /** Live subscriptions; 0 when every client has gone. */
  get subscriberCount(): number {
    return this.context.feed.subscriberCount + this.context.workerFeed.subscriberCount;
  }

  /** Closes sockets, lets running requests finish, disconnects. Idempotent. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    this.context.readiness.stopping();
    for (const release of this.releases) release();
    await this.webSocket.close();
    await this.context.feed.close();
    await this.context.workerFeed.close();
    // Also closes the HTTP server, with a grace period for requests under way.
    await this.apollo.stop();
    await this.context.finishedRuns.settled();
    await this.context.tracer.close();
    await this.health?.close();
    await Promise.all(this.owned.map((part) => part.close()));
  }

  private async listen(): Promise<void> {
    const { host, port } = this.config;
    this.server.listen(port, host);
    try {
      await once(this.server, 'listening');
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UnavailableError(
        `The gateway cannot listen on ${host}:${port} (${reason}). Stop what listens there, or set GATEWAY_PORT.`,
        { host, port },
        { cause },
      );
    }
  }
}
