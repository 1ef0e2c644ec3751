import type { IncomingMessage } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import { UnavailableError, type Actor } from '@roentgen/domain';
import type { TraceParent } from '@roentgen/telemetry';
import type { RequestContext } from '../graphql/request-context.js';
import type { GatewayContext } from '../context.js';
import type { ObservedOperation } from '../observability/observed-operation.js';
import { UNAUTHENTICATED, unavailableMessage } from './errors.js';
import { MAX_REQUEST_BYTES } from './limits.js';
import { REQUEST_ID_HEADER, requestIdFrom } from './request-id.js';

interface Locals {
  requestId: string;
  actor: Actor;
  operation: ObservedOperation;
}

/** The HTTP side: health for whoever asks, /graphql for whoever has a token. */
export function createApp(context: GatewayContext, apollo: ApolloServer<RequestContext>): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(identifyRequest);
  app.get('/healthz', (_req, res) => void res.json({ ok: true }));
  app.get('/readyz', readinessOf(context));
  app.use(
    '/graphql',
    authentication(context),
    observation(context),
    express.json({ limit: MAX_REQUEST_BYTES }),
    expressMiddleware(apollo, {
      context: ({ res }) => {
        const { actor, requestId, operation } = locals(res);
        return Promise.resolve(context.requestContext(actor, requestId, operation));
      },
    }),
  );
  app.use((_req, res) => sendError(res, 404, 'NOT_FOUND', 'There is nothing here; the API is at /graphql.'));
  app.use(lastResort(context));
  return app;
}

const identifyRequest: RequestHandler = (req, res, next) => {
  const requestId = requestIdFrom(req.headers[REQUEST_ID_HEADER]);
  locals(res).requestId = requestId;
  res.setHeader(REQUEST_ID_HEADER, requestId);
  next();
};

/** Before the body is read: who has no token makes us parse nothing. */
function authentication({ access }: GatewayContext): RequestHandler {
  return async (req, res, next) => {
    const actor = await access.authenticate(req.headers.authorization);
    if (actor === null) {
      res.setHeader('www-authenticate', 'Bearer');
      sendError(res, 401, UNAUTHENTICATED.code, UNAUTHENTICATED.message);
      return;
    }
    locals(res).actor = actor;
    next();
  };
}

/** Until the answer is sent, or the caller has gone. */
function observation({ operations }: GatewayContext): RequestHandler {
  return (req, res, next) => {
    const operation = operations.begin('http', locals(res).requestId, traceOf(req));
    locals(res).operation = operation;
    // Where GraphQL was reached it has said more; a body that could not be read ends here.
    res.once('close', () => operation.end(res.statusCode >= 500 ? 'failed' : 'refused'));
    operation.run(next);
  };
}

function traceOf({ headers }: IncomingMessage): TraceParent | null {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string') return null;
  return { traceparent, ...(typeof tracestate === 'string' && { tracestate }) };
}

/** 200 while requests can be served. Everyone may ask here, so the reasons, which name hosts, are only on the operators' port. */
function readinessOf({ readiness }: GatewayContext): RequestHandler {
  return async (_req, res) => {
    const { ready, dependencies } = await readiness.report();
    res.status(ready ? 200 : 503).json({ ready, dependencies: dependencies.map(({ name, needed, state }) => ({ name, needed, state })) });
  };
}

/** Bodies that cannot be read, and whatever else was thrown on the way to GraphQL. */
function lastResort({ logger }: GatewayContext): ErrorRequestHandler {
  return (err: unknown, _req, res, next) => {
    if (res.headersSent) {
      next(err);
      return;
    }
    const status = clientErrorStatus(err);
    if (status === 413)
      sendError(res, 413, 'PAYLOAD_TOO_LARGE', `A request body has at most ${MAX_REQUEST_BYTES} bytes. Send it in several requests.`);
    else if (status !== null) sendError(res, status, 'BAD_REQUEST', 'The request body is not JSON that can be read.');
    else {
      logger.error({ err, requestId: locals(res).requestId }, 'a request failed unexpectedly');
      if (err instanceof UnavailableError) sendError(res, err.code === 'UNAVAILABLE' ? 503 : 507, err.code, unavailableMessage(err));
      else sendError(res, 500, 'INTERNAL', 'internal error');
    }
  };
}

/** The status of an error that the body parser blames on the caller. */
function clientErrorStatus(err: unknown): number | null {
  const status = typeof err === 'object' && err !== null && 'status' in err && 'type' in err ? err.status : null;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : null;
}

/** In the form of a GraphQL answer, so that clients need to understand one form only. */
function sendError(res: Response, status: number, code: string, message: string): void {
  res.status(status).json({ errors: [{ message, extensions: { code, requestId: locals(res).requestId } }] });
}

// Express types locals as any; these are all that is ever put there.
const locals = (res: Response): Locals => res.locals as Locals;
