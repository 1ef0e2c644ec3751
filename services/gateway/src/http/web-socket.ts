import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, execute, parse, specifiedRules, subscribe, validate, type ExecutionArgs } from 'graphql';
import type { Context as ConnectionContext, SubscribePayload } from 'graphql-ws';
import { useServer, type Extra } from 'graphql-ws/use/ws';
import { WebSocket, WebSocketServer } from 'ws';
import type { GatewayContext } from '../context.js';
import type { RequestContext } from '../graphql/request-context.js';
import type { ObservedOperation, OperationResult } from '../observability/observed-operation.js';
import { UNAUTHENTICATED, presentError } from './errors.js';
import { LIMIT_RULES, MAX_REQUEST_BYTES, PARSE_OPTIONS } from './limits.js';
import { REQUEST_ID_HEADER, requestIdFrom } from './request-id.js';

type Connection = ConnectionContext<Record<string, unknown>, Extra>;

const KEEP_ALIVE_MS = 12_000;
const MAX_OPERATIONS_PER_SOCKET = 100;
const TRY_AGAIN_LATER = 1013;
const FORBIDDEN = 4403;

/** What sockets need of the gateway. */
export interface WebSocketContext extends Pick<GatewayContext, 'schema' | 'logger' | 'requestContext' | 'operations'> {
  readonly access: Pick<GatewayContext['access'], 'authenticate'>;
}

/** Operations over graphql-ws, with the same tokens, access checks and limits as over HTTP. */
export class GraphQLWebSocket {
  private readonly sockets: WebSocketServer;
  private readonly protocol: { dispose: () => void | Promise<void> };
  private readonly rechecks = new Map<Connection, NodeJS.Timeout>();

  constructor(
    private readonly context: WebSocketContext,
    private readonly server: Server,
    private readonly tokenRecheckMs: number,
  ) {
    // Not given the server: errors of listening would be taken for errors of the sockets.
    this.sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_REQUEST_BYTES });
    server.on('upgrade', this.upgrade);
    this.protocol = useServer<Record<string, unknown>>(
      {
        onConnect: (connection) => this.connect(connection),
        execute: (args) => observed(args, execute),
        subscribe: (args) => observed(args, subscribe),
        onSubscribe: (connection, _id, payload) => this.prepare(connection, payload),
        onError: (connection, _id, _payload, errors) => errors.map((error) => this.present(error, connection)),
        onNext: (connection, _id, _payload, _args, { data, errors }) => ({
          data: data ?? null,
          ...(errors && { errors: errors.map((error) => this.present(error, connection)) }),
        }),
        onClose: (connection) => this.forget(connection),
      },
      this.sockets,
      KEEP_ALIVE_MS,
    );
  }

  /** Closes every socket, as going away (1001): clients come back elsewhere and go on. A subscription that ended would tell them that the run has. */
  async close(): Promise<void> {
    this.server.off('upgrade', this.upgrade);
    await this.protocol.dispose();
    for (const timer of this.rechecks.values()) clearInterval(timer);
    this.rechecks.clear();
  }

  private readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Not by URL: that throws for texts that are none, and here nobody would catch it.
    if (request.url?.split('?')[0] === '/graphql') {
      this.sockets.handleUpgrade(request, socket, head, (opened) => this.sockets.emit('connection', opened, request));
    } else {
      socket.on('error', () => socket.destroy());
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    }
  };

  /** False closes the socket with 4403. */
  private async connect(connection: Connection): Promise<boolean> {
    try {
      if ((await this.actorOf(connection)) === null) return false;
    } catch (err) {
      this.context.logger.error({ err }, 'a socket could not be authenticated');
      connection.extra.socket.close(TRY_AGAIN_LATER, 'Try again later');
      return false;
    }
    // Gone while its token was looked up: nobody would end the rechecks.
    if (connection.extra.socket.readyState !== WebSocket.OPEN) return false;
    this.context.operations.socketOpened();
    this.rechecks.set(
      connection,
      setInterval(() => void this.recheck(connection), this.tokenRecheckMs),
    );
    return true;
  }

  private async recheck(connection: Connection): Promise<void> {
    try {
      if ((await this.actorOf(connection)) === null) connection.extra.socket.close(FORBIDDEN, 'The token has expired or was revoked');
    } catch (err) {
      this.context.logger.warn({ err }, 'the token of a socket could not be checked again; trying later');
    }
  }

  private forget(connection: Connection): void {
    clearInterval(this.rechecks.get(connection));
    if (this.rechecks.delete(connection)) this.context.operations.socketClosed();
  }

  /** Parses and validates one operation. */
  private async prepare(connection: Connection, payload: SubscribePayload): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const operation = this.context.operations.begin('websocket', requestIdOf(connection), null);
    const refuse = (errors: readonly GraphQLError[]) => {
      operation.answered({ errors });
      return errors;
    };
    try {
      const prepared = await this.toExecution(connection, payload, operation);
      return 'schema' in prepared ? prepared : refuse(prepared);
    } catch (thrown) {
      if (thrown instanceof GraphQLError) return refuse([thrown]);
      return refuse([new GraphQLError('internal error', { originalError: thrown instanceof Error ? thrown : null })]);
    }
  }

  private async toExecution(
    connection: Connection,
    payload: SubscribePayload,
    operation: ObservedOperation,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { schema, requestContext } = this.context;
    // The operation at hand is counted already.
    if (Object.keys(connection.subscriptions).length > MAX_OPERATIONS_PER_SOCKET) {
      return [new GraphQLError(`One socket carries at most ${MAX_OPERATIONS_PER_SOCKET} operations at a time. Open another.`)];
    }
    const actor = await this.actorOf(connection);
    if (actor === null) return [new GraphQLError(UNAUTHENTICATED.message, { extensions: { code: UNAUTHENTICATED.code } })];
    const document = parse(payload.query, PARSE_OPTIONS);
    const errors = validate(schema, document, [...specifiedRules, ...LIMIT_RULES]);
    if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
    operation.resolved(document, payload.operationName);
    return {
      schema,
      document,
      operationName: payload.operationName ?? null,
      variableValues: payload.variables ?? null,
      contextValue: requestContext(actor, requestIdOf(connection), operation),
    };
  }

  private actorOf(connection: Connection) {
    return this.context.access.authenticate(connection.connectionParams?.['authorization']);
  }

  private present(error: GraphQLError, connection: Connection) {
    return presentError(error, { requestId: requestIdOf(connection), logger: this.context.logger });
  }
}

/** Carries out an operation as a part of what is observed of it: a subscription until it has begun. */
async function observed<R extends OperationResult | AsyncIterable<unknown>>(
  args: ExecutionArgs,
  carryOut: (args: ExecutionArgs) => R | Promise<R>,
): Promise<R> {
  // `toExecution` made it; to the library it is anything.
  const { operation } = args.contextValue as RequestContext;
  try {
    const result = await operation.run(() => carryOut(args));
    operation.answered(Symbol.asyncIterator in result ? {} : result);
    return result;
  } catch (thrown) {
    operation.end('failed');
    throw thrown;
  }
}

/** One id per socket: it came with the request that opened it, or is made for it now. */
function requestIdOf(connection: Connection): string {
  const { headers } = connection.extra.request;
  const requestId = requestIdFrom(headers[REQUEST_ID_HEADER]);
  headers[REQUEST_ID_HEADER] = requestId;
  return requestId;
}

function withCode(error: GraphQLError, code: string): GraphQLError {
  const { message, nodes, source, positions } = error;
  return new GraphQLError(message, { nodes: nodes ?? null, source: source ?? null, positions: positions ?? null, extensions: { code } });
}
