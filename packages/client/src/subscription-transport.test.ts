import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { GraphQLError, buildSchema, parse } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ApiError, UnreachableError } from './errors.js';
import { subscribeOverWebSocket } from './subscription-transport.js';

const Count = parse('subscription Count($after: Int!, $until: Int!) { count(after: $after, until: $until) }') as TypedDocumentNode<
  { count: number },
  { after: number; until: number }
>;
const schema = buildSchema('type Query { none: Int } type Subscription { count(after: Int!, until: Int!): Int! }');
const resume = (variables: { after: number; until: number }, last: { count: number } | null) => ({
  ...variables,
  after: last?.count ?? variables.after,
});

let closeServer: () => Promise<void> = () => Promise.resolve();
afterEach(async () => {
  await closeServer();
  closeServer = () => Promise.resolve();
});

/** Counts from `after` + 1 to `until`; breaks the connection after each `breakEvery` values, is away for a moment after each `awayEvery`, sends nothing more from `stallAt` on. */
async function counter(options: { breakEvery?: number; failAt?: number; stallAt?: number; awayEvery?: number } = {}) {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/graphql' });
  const asked: number[] = [];
  let sent = 0;
  let close: () => void = () => undefined;
  const closing = new Promise<void>((resolve) => (close = resolve));
  async function* count({ after, until }: { after: number; until: number }) {
    asked.push(after);
    for (let value = after + 1; value <= until; value++) {
      await nextTurn();
      if (value === options.stallAt) await closing;
      if (value === options.failAt) throw new Error('cannot count on');
      yield { count: value };
      if (options.awayEvery !== undefined && ++sent % options.awayEvery === 0)
        throw new GraphQLError('try again', { extensions: { code: 'UNAVAILABLE' } });
      if (options.breakEvery !== undefined && ++sent % options.breakEvery === 0) for (const socket of sockets.clients) socket.terminate();
    }
  }
  const handler = useServer(
    {
      schema,
      roots: { subscription: { count } },
      onConnect: ({ connectionParams }) => connectionParams?.authorization === 'Bearer secret',
    },
    sockets,
  );
  await new Promise((resolve) => sockets.once('listening', resolve));
  closeServer = async () => {
    close();
    await handler.dispose();
    sockets.close();
  };
  return {
    transport: { url: `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}/graphql`, token: 'secret', reconnectTimeoutMs: 5_000 },
    asked,
  };
}

const numbers = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

describe('a subscription', () => {
  test('gives every value once, in order, over many broken connections', async () => {
    const { transport, asked } = await counter({ breakEvery: 13 });
    const reconnects: string[] = [];
    const values: number[] = [];
    for await (const { count } of subscribeOverWebSocket(
      transport,
      Count,
      { after: 0, until: 100 },
      { resume, onReconnect: (reason) => reconnects.push(reason) },
    ))
      values.push(count);
    expect(values).toEqual(numbers(100));
    expect(reconnects.length).toBeGreaterThanOrEqual(7);
    expect(asked).toHaveLength(reconnects.length + 1);
  });

  test('goes on after a part of the server did not answer for a while', async () => {
    const { transport } = await counter({ awayEvery: 4 });
    const reconnects: string[] = [];
    const values: number[] = [];
    const options = { resume, onReconnect: (reason: string) => reconnects.push(reason) };
    for await (const { count } of subscribeOverWebSocket(transport, Count, { after: 0, until: 14 }, options)) values.push(count);
    expect(values).toEqual(numbers(14));
    expect(reconnects).toEqual(['try again', 'try again', 'try again']);
  });

  test('gives up with what the server says where that stays away', async () => {
    const { transport } = await counter({ awayEvery: 1 });
    const read = async () => {
      const backToTheStart = { resume: () => ({ after: 0, until: 9 }) };
      for await (const _ of subscribeOverWebSocket(
        { ...transport, reconnectTimeoutMs: -1 },
        Count,
        { after: 0, until: 9 },
        backToTheStart,
      ));
    };
    await expect(read()).rejects.toMatchObject({ name: 'ApiError', code: 'UNAVAILABLE' });
  });

  test('ends when the reader stops', async () => {
    const { transport } = await counter();
    for await (const { count } of subscribeOverWebSocket(transport, Count, { after: 0, until: 1_000_000 }, { resume }))
      if (count === 5) break;
  });

  test('ends when it is aborted while nothing comes', async () => {
    const { transport } = await counter({ stallAt: 4 });
    const abort = new AbortController();
    const values: number[] = [];
    for await (const { count } of subscribeOverWebSocket(
      transport,
      Count,
      { after: 0, until: 1_000_000 },
      { resume, signal: abort.signal },
    )) {
      values.push(count);
      if (count === 3) setTimeout(() => abort.abort(), 20);
    }
    expect(values).toEqual([1, 2, 3]);
  });

  test('does not knock again where it is refused', async () => {
    const { transport } = await counter();
    const read = async () => {
      for await (const _ of subscribeOverWebSocket({ ...transport, token: 'wrong' }, Count, { after: 0, until: 1 }, { resume }))
        expect.unreachable();
    };
    await expect(read()).rejects.toMatchObject({ name: 'ApiError', code: 'UNAUTHENTICATED' });
  });

  test('passes on what the server says went wrong', async () => {
    const { transport } = await counter({ failAt: 3 });
    const values: number[] = [];
    const read = async () => {
      for await (const { count } of subscribeOverWebSocket(transport, Count, { after: 0, until: 5 }, { resume })) values.push(count);
    };
    await expect(read()).rejects.toThrow();
    expect(values).toEqual([1, 2]);
  });

  test('gives up when the server stays away', async () => {
    const read = async () => {
      const transport = { url: 'ws://127.0.0.1:1/graphql', token: 'secret', reconnectTimeoutMs: 300 };
      for await (const _ of subscribeOverWebSocket(transport, Count, { after: 0, until: 1 }, { resume })) expect.unreachable();
    };
    await expect(read()).rejects.toThrow(UnreachableError);
  });

  test('is refused as an ApiError when the server answers with an error', async () => {
    const { transport } = await counter();
    const Wrong = parse('subscription { nothing }') as TypedDocumentNode<{ count: number }, { after: number; until: number }>;
    const read = async () => {
      for await (const _ of subscribeOverWebSocket(transport, Wrong, { after: 0, until: 1 }, { resume })) expect.unreachable();
    };
    await expect(read()).rejects.toThrow(ApiError);
  });
});
