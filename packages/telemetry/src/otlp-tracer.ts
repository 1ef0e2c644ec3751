import { ROOT_CONTEXT, SpanKind, SpanStatusCode, createTraceState, trace, type Context, type Span as OtelSpan } from '@opentelemetry/api';
import { parseTraceParent, setGlobalErrorHandler } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { activeTrace, runInTrace, type Span, type SpanOptions, type TraceParent, type Tracer } from './trace.js';
import type { TracingOptions } from './tracing.js';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

const EXPORT_EVERY_MS = 1_000;
/** A collector that is away must not hold up the end of a process. */
const LAST_EXPORT_MS = 3_000;

/** Spans to a collector, as JSON over HTTP. What cannot be sent is dropped; what waits is bounded by the SDK (2,048 spans). */
export function createOtlpTracer({ endpoint, service, version, instance, onError }: TracingOptions & { endpoint: string }): Tracer {
  setGlobalErrorHandler((error) => onError(typeof error === 'string' ? error : String(Reflect.get(Object(error), 'message') ?? error)));
  const provider = new TracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({ 'service.name': `roentgen-${service}`, 'service.version': version, 'service.instance.id': instance }),
    ),
    spanProcessors: [
      new BatchSpanProcessor({
        // The SDK reads OTEL_EXPORTER_OTLP_HEADERS and _TIMEOUT itself; they are its own.
        exporter: new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` }),
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: LAST_EXPORT_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('roentgen', version);
  return {
    begin: (name, options = {}) => {
      const { attributes = {}, kind = 'internal' } = options;
      return new OtlpSpan(tracer.startSpan(name, { kind: KINDS[kind], attributes }, contextOf(options)));
    },
    close: () => provider.shutdown().catch((error: unknown) => onError(String(error))),
  };
}

function contextOf(options: SpanOptions): Context {
  const parent = options.parent === undefined ? activeTrace() : options.parent;
  const spanContext = parent === null ? null : parseTraceParent(parent.traceparent);
  if (parent === null || spanContext === null) return ROOT_CONTEXT;
  const traceState = parent.tracestate === undefined ? {} : { traceState: createTraceState(parent.tracestate) };
  return trace.setSpanContext(ROOT_CONTEXT, { ...spanContext, ...traceState, isRemote: true });
}

class OtlpSpan implements Span {
  readonly parent: TraceParent;
  private ended = false;

  constructor(private readonly span: OtelSpan) {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    const tracestate = traceState?.serialize() ?? '';
    this.parent = {
      traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
      ...(tracestate !== '' && { tracestate }),
    };
  }

  rename(name: string): void {
    this.span.updateName(name);
  }

  set(attributes: Readonly<Record<string, string | number | boolean>>): void {
    this.span.setAttributes({ ...attributes });
  }

  fail(error: Error | string): void {
    const message = typeof error === 'string' ? error : error.message;
    this.span.recordException(error);
    this.span.setStatus({ code: SpanStatusCode.ERROR, message });
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.span.end();
  }

  run<T>(work: () => T): T {
    return runInTrace(this.parent, work);
  }
}
