import http from 'node:http';
import https from 'node:https';

/** A connection on which nothing moves for this long is given up: the SDK itself would wait for ever. */
const IDLE_TIMEOUT_MS = 30_000;
const MAX_SOCKETS = 64;
/** Statuses whose answers the SDK never reads; unread, each would keep its connection. */
const UNREAD_STATUSES = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

class IdleTimeoutError extends Error {
  readonly code = 'ETIMEDOUT';
}

/** What the SDK sends its requests with: connections are reused, and none waits for ever. */
export function createTransport(secure: boolean) {
  const client = secure ? https : http;
  const request = (options: http.RequestOptions, onResponse: (response: http.IncomingMessage) => void): http.ClientRequest => {
    const sent = client.request(options, (response) => {
      if (UNREAD_STATUSES.has(response.statusCode ?? 0)) response.resume();
      onResponse(response);
    });
    sent.setTimeout(IDLE_TIMEOUT_MS, () => sent.destroy(new IdleTimeoutError(`nothing came for ${IDLE_TIMEOUT_MS} ms`)));
    return sent;
  };
  // The SDK calls it in this one of its forms only.
  return { transport: { request: request as typeof http.request }, agent: new client.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS }) };
}
