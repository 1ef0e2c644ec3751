import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { buildGatewaySchema } from '../schema.js';
import { silentLogger } from '@roentgen/logger';
import { newId, type Actor } from '@roentgen/domain';
import { Metrics, NO_TRACER } from '@roentgen/telemetry';
import { GatewayMetrics } from '../observability/gateway-metrics.js';
import { OperationObserver } from '../observability/observed-operation.js';
import { GraphQLWebSocket, type WebSocketContext } from './web-socket.js';

const RECHECK_MS = 5;

test('a socket that is gone before its token was looked up is not looked after for ever', async () => {
  const actor: Actor = { tokenId: newId('tok'), tokenName: 't', projectId: newId('prj'), role: 'viewer' };
  const asked: unknown[] = [];
  const answers: ((actor: Actor) => void)[] = [];
  const context: WebSocketContext = {
    schema: await buildGatewaySchema(),
    logger: silentLogger,
    access: {
      authenticate: (authorization) => {
        asked.push(authorization);
        return authorization === 'slow' ? new Promise((resolve) => answers.push(resolve)) : Promise.resolve(actor);
      },
    },
    operations: new OperationObserver(new GatewayMetrics(new Metrics({ service: 'gateway', version: '1' }), () => 0), NO_TRACER),
    requestContext: () => {
      throw new Error('nothing is asked here');
    },
  };
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new GraphQLWebSocket(context, server, RECHECK_MS);
  const greet = async (authorization: string) => {
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    return socket;
  };
  const times = (authorization: string) => asked.filter((one) => one === authorization).length;

  const left = await greet('slow');
  await vi.waitFor(() => expect(times('slow')).toBe(1));
  left.terminate();
  const stays = await greet('stays');
  await vi.waitFor(() => expect(times('stays')).toBeGreaterThan(2));
  answers.forEach((answer) => answer(actor));
  const before = times('stays');
  await vi.waitFor(() => expect(times('stays')).toBeGreaterThan(before + 5));
  expect(times('slow')).toBe(1);

  stays.terminate();
  await sockets.close();
  server.close();
});
