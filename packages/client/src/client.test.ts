import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { parse } from 'graphql';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { RoentgenClient } from './client.js';
import { UnreachableError } from './errors.js';
import { RETRY_POLICY } from './retry.js';

const Hello = parse('query Hello { hello }') as TypedDocumentNode<{ hello: string }, Record<string, never>>;

/** An API that hangs up on the requests for which `isAway` is true; counts all of them. */
async function api(isAway: (nth: number) => boolean) {
  let requests = 0;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (isAway(++requests)) return void request.socket.destroy();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data: { hello: 'world' } }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
  return {
    client: (reconnectTimeoutMs: number) => new RoentgenClient({ url, token: 't', reconnectTimeoutMs }),
    requests: () => requests,
    close,
  };
}

test('a client that was answered once outlives a restart of the API; one that never was soon says that nobody is there', async () => {
  const restarted = await api((nth) => nth > 1 && nth <= 1 + RETRY_POLICY.attempts);
  const nobody = await api(() => true);
  const known = restarted.client(60_000);
  await known.execute(Hello, {});
  await Promise.all([
    expect(known.execute(Hello, {})).resolves.toEqual({ hello: 'world' }),
    expect(nobody.client(60_000).execute(Hello, {})).rejects.toThrow(UnreachableError),
  ]);
  expect(restarted.requests()).toBe(2 + RETRY_POLICY.attempts);
  expect(nobody.requests()).toBe(RETRY_POLICY.attempts);
  restarted.close();
  nobody.close();
});

test('a client gives up an API that stays away', async () => {
  const gone = await api((nth) => nth > 1);
  const known = gone.client(0);
  await known.execute(Hello, {});
  await expect(known.execute(Hello, {})).rejects.toThrow(UnreachableError);
  expect(gone.requests()).toBe(1 + RETRY_POLICY.attempts);
  gone.close();
});
