import { NO_TRACER, type Tracer } from './trace.js';

export interface TracingOptions {
  /** Base address of an OTLP collector over HTTP, as OTEL_EXPORTER_OTLP_ENDPOINT has it; null: nothing is recorded. */
  readonly endpoint: string | null;
  /** `gateway`, `coordinator` or `worker`. */
  readonly service: string;
  readonly version: string;
  /** Which of several: its id. */
  readonly instance: string;
  /** Spans could not be sent. */
  readonly onError: (message: string) => void;
}

/** Without an endpoint OpenTelemetry is not even loaded. */
export async function createTracer(options: TracingOptions): Promise<Tracer> {
  const { endpoint } = options;
  if (endpoint === null) return NO_TRACER;
  const { createOtlpTracer } = await import('./otlp-tracer.js');
  return createOtlpTracer({ ...options, endpoint });
}
