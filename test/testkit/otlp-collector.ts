import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { z } from 'zod';

const AttributeSchema = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });
const SpanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes: z.array(AttributeSchema).default([]),
});
const BodySchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(AttributeSchema) }),
      scopeSpans: z.array(z.object({ spans: z.array(SpanSchema) })),
    }),
  ),
});

type Attributes = Readonly<Record<string, unknown>>;

export interface CollectedSpan extends Omit<z.infer<typeof SpanSchema>, 'attributes'> {
  readonly service: unknown;
  readonly attributes: Attributes;
}

/** Takes traces as an OpenTelemetry collector does: OTLP over HTTP, as JSON. */
export class OtlpCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];

  private constructor(private readonly server: Server) {}

  static async open(): Promise<OtlpCollector> {
    const server = createServer();
    const collector = new OtlpCollector(server);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const isTraces = request.method === 'POST' && request.url === '/v1/traces';
        if (isTraces) collector.take(Buffer.concat(chunks).toString('utf8'));
        response.writeHead(isTraces ? 200 : 404, { 'content-type': 'application/json' }).end('{}');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return collector;
  }

  /** As OTEL_EXPORTER_OTLP_ENDPOINT has it. */
  get endpoint(): string {
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private take(body: string): void {
    for (const { resource, scopeSpans } of BodySchema.parse(JSON.parse(body)).resourceSpans) {
      const service = plain(resource.attributes)['service.name'];
      for (const { spans } of scopeSpans) {
        this.spans.push(...spans.map((span) => ({ ...span, service, attributes: plain(span.attributes) })));
      }
    }
  }
}

const plain = (attributes: readonly z.infer<typeof AttributeSchema>[]): Attributes =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
