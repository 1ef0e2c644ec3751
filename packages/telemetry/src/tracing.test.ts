import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { activeTrace, inSpan, runInTrace } from './trace.js';
import { createTracer } from './tracing.js';

interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly status: { readonly code?: number; readonly message?: string };
  readonly events: readonly { readonly name: string }[];
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A collector: OTLP over HTTP, as JSON. */
async function collector(status = 200) {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push(Buffer.concat(chunks).toString('utf8'));
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const spans = (): ReceivedSpan[] =>
    bodies
      .map((body) => JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: ReceivedSpan[] }[] }[] })
      .flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
  return { endpoint: `http://127.0.0.1:${port}/`, bodies, spans };
}

const optionsFor = (endpoint: string | null, errors: string[] = []) => ({
  endpoint,
  service: 'worker',
  version: '1.2.3',
  instance: 'wkr_1',
  onError: (message: string) => void errors.push(message),
});

test('spans reach the collector with their parents, errors and the service that they are of', async () => {
  const { endpoint, bodies, spans } = await collector();
  const tracer = await createTracer(optionsFor(endpoint));
  const remote = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };
  const failure = inSpan(tracer, 'attempt', { parent: remote, attributes: { 'roentgen.run.id': 'run_1' } }, async () => {
    expect(activeTrace()?.traceparent).toMatch(new RegExp(`^00-${'a'.repeat(32)}-[0-9a-f]{16}-01$`));
    await Promise.resolve();
    tracer.begin('epoch').end();
    throw new Error('out of memory');
  });
  await expect(failure).rejects.toThrow('out of memory');
  expect(activeTrace()).toBeNull();
  await tracer.close();

  const [attempt, epoch] = ['attempt', 'epoch'].map((name) => spans().find((span) => span.name === name));
  expect(attempt).toMatchObject({ traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16), status: { code: 2, message: 'out of memory' } });
  expect(attempt?.events.map(({ name }) => name)).toEqual(['exception']);
  expect(epoch).toMatchObject({ traceId: 'a'.repeat(32), parentSpanId: attempt?.spanId });
  for (const text of ['"roentgen-worker"', '"1.2.3"', '"wkr_1"', '"run_1"']) expect(bodies.join('')).toContain(text);
});

test('a parent that nobody samples is not recorded, one that cannot be read begins a new trace', async () => {
  const { endpoint, spans } = await collector();
  const tracer = await createTracer(optionsFor(endpoint));
  tracer.begin('unsampled', { parent: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00` } }).end();
  for (const traceparent of ['nonsense', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`])
    tracer.begin('new', { parent: { traceparent } }).end();
  runInTrace({ traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01` }, () => tracer.begin('alone', { parent: null }).end());
  await tracer.close();
  expect(spans().map(({ name }) => name)).toEqual(['new', 'new', 'alone']);
  for (const { traceId, parentSpanId } of spans()) expect([/^[ac0]{32}$/.test(traceId), parentSpanId ?? '']).toEqual([false, '']);
});

test('without a collector nothing is recorded or carried on', async () => {
  const tracer = await createTracer(optionsFor(null));
  const span = tracer.begin('attempt');
  expect(span.parent).toBeNull();
  expect(span.run(() => activeTrace())).toBeNull();
  await tracer.close();
});

test('a collector that refuses is told of, and holds nobody up', async () => {
  const { endpoint } = await collector(400);
  const errors: string[] = [];
  const tracer = await createTracer(optionsFor(endpoint, errors));
  tracer.begin('attempt').end();
  await tracer.close();
  expect(errors.join('\n')).not.toBe('');
});
