import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { type Client, CloseCode, createClient } from 'graphql-ws';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { ApiError, UnreachableError } from './errors.js';
import { apiErrorOf, connectionProblem } from './http-transport.js';
import { backoffMs, RETRY_POLICY } from './retry.js';

export interface SubscriptionTransportOptions {
  /** ws:// or wss:// */
  readonly url: string;
  readonly token: string;
  /** How long to keep trying to come back before giving up. */
  readonly reconnectTimeoutMs: number;
}

export interface SubscribeOptions<Data, Variables> {
  /** The variables with which to go on after a broken connection, made from the last value received (null: none yet). */
  readonly resume: (variables: Variables, last: Data | null) => Variables;
  readonly onReconnect?: (reason: string) => void;
  readonly signal?: AbortSignal;
}

const PING_INTERVAL_MS = 10_000;
const PONG_TIMEOUT_MS = 5_000;

/** Close codes after which trying again cannot help. */
const FINAL_CODES: readonly number[] = [
  CloseCode.BadRequest,
  CloseCode.Unauthorized,
  CloseCode.Forbidden,
  CloseCode.SubprotocolNotAcceptable,
];

/**
 * Values of a subscription, over as many connections as it takes. Ends when the server completes it.
 * @throws ApiError when the server refuses it or a part of the server stays away, UnreachableError when the connection does
 */
export async function* subscribeOverWebSocket<Data, Variables extends Record<string, unknown>>(
  transport: SubscriptionTransportOptions,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  options: SubscribeOptions<Data, Variables>,
): AsyncGenerator<Data, void, void> {
  let last: Data | null = null;
  let brokenSince: number | null = null;
  const aborted = (): boolean => options.signal?.aborted === true;
  for (let attempt = 1; !aborted(); attempt++) {
    const socket = openSocket(transport);
    const stop = () => void socket.dispose();
    options.signal?.addEventListener('abort', stop, { once: true });
    try {
      for await (const result of socket.iterate<Data>({ query: print(document), variables: options.resume(variables, last) })) {
        if (result.errors?.[0] !== undefined) throw apiErrorOf(result.errors[0]);
        if (aborted()) return;
        if (result.data == null) continue;
        attempt = 1;
        brokenSince = null;
        last = result.data;
        yield result.data;
      }
      return;
    } catch (thrown) {
      if (aborted()) return;
      const error: unknown = Array.isArray(thrown) ? apiErrorOf(thrown[0]) : thrown;
      const reason = reasonToRetry(error);
      brokenSince ??= Date.now();
      if (Date.now() - brokenSince > transport.reconnectTimeoutMs) {
        if (error instanceof ApiError) throw error;
        throw new UnreachableError(`Lost the connection to ${transport.url}: ${reason}.`, { cause: error });
      }
      options.onReconnect?.(reason);
    } finally {
      options.signal?.removeEventListener('abort', stop);
      await socket.dispose();
    }
    await delay(backoffMs(RETRY_POLICY, attempt), undefined, { ...(options.signal && { signal: options.signal }) }).catch(() => undefined);
  }
}

/** One connection. It answers for its own liveness: a peer that stops answering pings is closed, because TCP alone may not notice for minutes. */
function openSocket(transport: SubscriptionTransportOptions): Client {
  let socket: WebSocket | undefined;
  let pongTimer: NodeJS.Timeout | undefined;
  return createClient({
    url: transport.url,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${transport.token}` },
    retryAttempts: 0,
    keepAlive: PING_INTERVAL_MS,
    connectionAckWaitTimeout: 10_000,
    on: {
      opened: (opened) => {
        if (opened instanceof WebSocket) socket = opened;
      },
      ping: (received) => {
        if (!received) pongTimer = setTimeout(() => socket?.terminate(), PONG_TIMEOUT_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(pongTimer);
      },
      closed: () => clearTimeout(pongTimer),
    },
  });
}

/** Why the subscription broke off. @throws ApiError when trying again cannot help */
function reasonToRetry(error: unknown): string {
  if (error instanceof ApiError) {
    if (!error.isPassing) throw error;
    return error.message;
  }
  const close = closeEventOf(error);
  if (close === null) return connectionProblem(error);
  if (!FINAL_CODES.includes(close.code)) return `closed with code ${close.code}${close.reason === '' ? '' : ` (${close.reason})`}`;
  const refused = close.code === CloseCode.Unauthorized || close.code === CloseCode.Forbidden;
  throw new ApiError(refused ? 'UNAUTHENTICATED' : 'BAD_REQUEST', close.reason || `The API closed the connection with code ${close.code}.`);
}

function closeEventOf(error: unknown): { code: number; reason: string } | null {
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'number') return null;
  return { code: error.code, reason: 'reason' in error && typeof error.reason === 'string' ? error.reason : '' };
}
