import type { DocumentNode, GraphQLError } from 'graphql';
import type { Span, TraceParent, Tracer } from '@roentgen/telemetry';
import { isRefusal } from '../http/errors.js';
import type { GatewayMetrics, OperationOutcome, Transport } from './gateway-metrics.js';
import { UNKNOWN_OPERATION, operationLabel } from './operation-label.js';

/** What came of an operation. */
export interface OperationResult {
  readonly data?: unknown;
  readonly errors?: readonly GraphQLError[] | undefined;
}

/** Watches GraphQL operations, however they come. */
export class OperationObserver {
  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly tracer: Tracer,
  ) {}

  /** @param parent what the caller is working on, where it says so */
  begin(transport: Transport, requestId: string, parent: TraceParent | null): ObservedOperation {
    const attributes = { 'roentgen.request.id': requestId, 'network.protocol.name': transport };
    return new ObservedOperation(this.metrics, this.tracer.begin('graphql', { parent, kind: 'server', attributes }), transport);
  }

  socketOpened(): void {
    this.metrics.sockets.inc();
  }

  socketClosed(): void {
    this.metrics.sockets.dec();
  }
}

/** One operation from its arrival to its answer: a line of the metrics, and a span of a trace where there is one. */
export class ObservedOperation {
  private readonly startedMs = performance.now();
  private label = UNKNOWN_OPERATION;
  private ended = false;

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly span: Span,
    private readonly transport: Transport,
  ) {}

  /** The operation is valid. */
  resolved(document: DocumentNode, operationName: string | null | undefined): void {
    this.label = operationLabel(document, operationName);
    const { type, field } = this.label;
    this.span.rename(`${type} ${field}`);
    this.span.set({ 'graphql.operation.type': type, ...(operationName && { 'graphql.operation.name': operationName }) });
  }

  /** What `work` does and sends belongs to this operation. */
  run<T>(work: () => T): T {
    return this.span.run(work);
  }

  answered({ data, errors = [] }: OperationResult): void {
    for (const error of errors) this.span.fail(error);
    this.end(errors.length > 0 ? (errors.every(isRefusal) ? 'refused' : 'failed') : isRefused(data) ? 'refused' : 'ok');
  }

  /** Idempotent: the first word counts. */
  end(outcome: OperationOutcome): void {
    if (this.ended) return;
    this.ended = true;
    const { type, field } = this.label;
    this.metrics.requests.inc({ type, field, transport: this.transport, outcome });
    this.metrics.requestSeconds.observe({ type, field }, (performance.now() - this.startedMs) / 1_000);
    this.span.set({ 'roentgen.outcome': outcome });
    this.span.end();
  }
}

/** Mutations tell of refusals in their data (`ok: false`), as far as they were asked. */
function isRefused(data: unknown): boolean {
  return Object.values(Object(data) as Record<string, unknown>).some((payload) => Reflect.get(Object(payload), 'ok') === false);
}
