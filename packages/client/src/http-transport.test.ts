import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { parse } from 'graphql';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiError, UnexpectedResponseError, UnreachableError } from './errors.js';
import { executeOverHttp } from './http-transport.js';

const POLICY = { attempts: 3, firstDelayMs: 1, longestDelayMs: 2 };
const Hello = parse('query Hello { hello }') as TypedDocumentNode<{ hello: string }, Record<string, never>>;
const Change = parse('mutation Change($input: ChangeInput!) { change(input: $input) { ok } }') as TypedDocumentNode<
  { change: { ok: boolean } },
  { input: { idempotencyKey?: string } }
>;

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(null) : server.close(resolve)));
  server = undefined;
});

/** An API that gives these answers in turn, the last one for ever; counts and remembers the requests. */
async function api(...answers: ((request: IncomingMessage, response: ServerResponse) => void)[]) {
  const requests: { authorization: string | undefined; body: string }[] = [];
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      requests.push({ authorization: request.headers.authorization, body });
      (answers[requests.length - 1] ?? answers.at(-1))?.(request, response);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
  return { options: { url, token: 'secret', timeoutMs: 2_000, retryPolicy: POLICY }, requests };
}

const json = (status: number, value: unknown) => (_: IncomingMessage, response: ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'from-header' }).end(JSON.stringify(value));
const hangUp = (request: IncomingMessage) => void request.socket.destroy();
const silence = () => undefined;

describe('an operation over HTTP', () => {
  test('sends the token and gives the data', async () => {
    const { options, requests } = await api(json(200, { data: { hello: 'world' } }));
    expect(await executeOverHttp(options, Hello, {})).toEqual({ hello: 'world' });
    expect(requests[0]?.authorization).toBe('Bearer secret');
    expect(JSON.parse(requests[0]?.body ?? '')).toMatchObject({ operationName: 'Hello', variables: {} });
  });

  test('turns a GraphQL error into an ApiError with its code and request id', async () => {
    const { options } = await api(
      json(200, { data: null, errors: [{ message: 'no such run', extensions: { code: 'NOT_FOUND', requestId: 'r-1' } }] }),
    );
    await expect(executeOverHttp(options, Hello, {})).rejects.toEqual(new ApiError('NOT_FOUND', 'no such run', 'r-1'));
  });

  test('knows a refused token', async () => {
    const { options } = await api(json(401, { errors: [{ message: 'unknown token', extensions: { code: 'UNAUTHENTICATED' } }] }));
    await expect(executeOverHttp(options, Hello, {})).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      isRefusal: true,
      requestId: 'from-header',
    });
  });

  test('asks again when a query got no answer, and gives up after the last attempt', async () => {
    const { options, requests } = await api(hangUp, json(503, {}), json(200, { data: { hello: 'again' } }));
    expect(await executeOverHttp(options, Hello, {})).toEqual({ hello: 'again' });
    expect(requests).toHaveLength(3);
  });

  test('gives up after the last attempt with the address in the message', async () => {
    const { options, requests } = await api(hangUp);
    await expect(executeOverHttp(options, Hello, {})).rejects.toThrow(UnreachableError);
    expect(requests).toHaveLength(3);
    await expect(executeOverHttp({ ...options, url: 'http://127.0.0.1:1/graphql' }, Hello, {})).rejects.toThrow(
      /Cannot reach the API at http:\/\/127\.0\.0\.1:1\/graphql/,
    );
  });

  test('never repeats a mutation without an idempotency key, and repeats one that has it', async () => {
    const once = await api(hangUp);
    await expect(executeOverHttp(once.options, Change, { input: {} })).rejects.toThrow(UnreachableError);
    expect(once.requests).toHaveLength(1);
    server?.close();
    const again = await api(hangUp, json(200, { data: { change: { ok: true } } }));
    expect(await executeOverHttp(again.options, Change, { input: { idempotencyKey: 'k' } })).toEqual({ change: { ok: true } });
    expect(again.requests[0]?.body).toBe(again.requests[1]?.body);
  });

  test('ends after its time', async () => {
    const { options } = await api(silence);
    await expect(executeOverHttp({ ...options, timeoutMs: 50, retryPolicy: { ...POLICY, attempts: 1 } }, Hello, {})).rejects.toThrow(
      'no answer within 50 ms',
    );
  });

  test('says so when something else answers', async () => {
    const { options } = await api((_, response) => void response.writeHead(200).end('<html>'));
    await expect(executeOverHttp(options, Hello, {})).rejects.toThrow(UnexpectedResponseError);
  });
});
