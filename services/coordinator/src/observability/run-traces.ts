import type { RunId } from '@roentgen/domain';
import { inSpan, type Span, type SpanAttributes, type TraceParent, type Tracer } from '@roentgen/telemetry';

/** More runs than that are not asked for while a coordinator waits for workers; the oldest of them lose their trace, not their work. */
const REMEMBERED = 10_000;

/**
 * What was asked for runs, so that what is done for them is a part of the same trace. In memory only: a trace that began before this coordinator listened
 * goes on in a new one.
 */
export class RunTraces {
  private readonly asked = new Map<RunId, TraceParent>();

  constructor(private readonly tracer: Tracer) {}

  /** A command for the run arrived. @param trace null: it is not traced */
  follow(runId: RunId | null, trace: TraceParent | null): void {
    if (runId === null || trace === null) return;
    // The latest command is what the next attempt is for; re-inserted, so that it is the youngest.
    this.asked.delete(runId);
    this.asked.set(runId, trace);
    const [oldest] = this.asked.keys();
    if (this.asked.size > REMEMBERED && oldest !== undefined) this.asked.delete(oldest);
  }

  /** The run has ended. */
  forget(runId: RunId): void {
    this.asked.delete(runId);
  }

  /** Gives a run to a worker: what is sent meanwhile carries the trace on. */
  dispatch<T>(runId: RunId, attributes: SpanAttributes, work: (span: Span) => Promise<T>): Promise<T> {
    const parent = this.asked.get(runId) ?? null;
    return inSpan(
      this.tracer,
      'dispatch attempt',
      { parent, kind: 'producer', attributes: { 'roentgen.run.id': runId, ...attributes } },
      work,
    );
  }
}
