import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Where a trace stands, as W3C Trace Context writes it into headers (https://www.w3.org/TR/trace-context/). `traceparent` is
 * `00-<32 hex digits of the trace>-<16 of the span>-<2 of flags>`; what is not of that form counts as none.
 */
export interface TraceParent {
  readonly traceparent: string;
  readonly tracestate?: string;
}

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** What it is a part of; null begins a trace. Left out: the span that is being worked on. */
  readonly parent?: TraceParent | null;
  readonly attributes?: SpanAttributes;
  /** Who waits for it: `server` and `consumer` answer to another process, `client` and `producer` ask one. */
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
}

/** Something that takes time. */
export interface Span {
  /** To continue it elsewhere; null when nobody records it. */
  readonly parent: TraceParent | null;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** It went wrong. The last word on it counts. */
  fail(error: Error | string): void;
  /** Idempotent. */
  end(): void;
  /** Runs `work` as a part of this span: spans that are begun and messages that are sent meanwhile belong to it. */
  run<T>(work: () => T): T;
}

export interface Tracer {
  begin(name: string, options?: SpanOptions): Span;
  /** Sends what is left. Never rejects. */
  close(): Promise<void>;
}

const active = new AsyncLocalStorage<TraceParent>();

/** What the present work is a part of, for headers of what it sends; null while nothing is traced. */
export function activeTrace(): TraceParent | null {
  return active.getStore() ?? null;
}

/** Runs `work` as a part of what `parent` names. */
export function runInTrace<T>(parent: TraceParent, work: () => T): T {
  return active.run(parent, work);
}

const NO_SPAN: Span = {
  parent: null,
  rename: () => undefined,
  set: () => undefined,
  fail: () => undefined,
  end: () => undefined,
  run: (work) => work(),
};

/** Records nothing and costs nothing. */
export const NO_TRACER: Tracer = { begin: () => NO_SPAN, close: () => Promise.resolve() };

/** Works in a new span that ends with `work`, failed when it throws. */
export async function inSpan<T>(tracer: Tracer, name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const span = tracer.begin(name, options);
  try {
    return await span.run(() => work(span));
  } catch (thrown) {
    span.fail(thrown instanceof Error ? thrown : String(thrown));
    throw thrown;
  } finally {
    span.end();
  }
}
