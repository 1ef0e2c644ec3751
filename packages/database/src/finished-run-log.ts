import { endsRun, type RunEvent, type RunId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { RunSummary, RunSummaryStore } from './run-summary-store.js';

/** One line of log for each run that ended, by whoever wrote its end. */
export class FinishedRunLog {
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly runs: Pick<RunSummaryStore, 'summary'>,
    private readonly logger: Logger,
    /** Told besides; null: the run ended and its row could not be read. */
    private readonly onFinished: (event: RunEvent, summary: RunSummary | null) => void = () => undefined,
  ) {}

  /** Events that were committed just now. Never throws, and nobody waits for it. */
  note(events: readonly RunEvent[]): void {
    for (const event of events) {
      if (!endsRun(event.kind)) continue;
      const writing = this.write(event).finally(() => this.pending.delete(writing));
      this.pending.add(writing);
    }
  }

  /** Resolves when every line is written: before the database is closed. */
  async settled(): Promise<void> {
    await Promise.all(this.pending);
  }

  private async write(event: RunEvent): Promise<void> {
    const summary = await this.summaryOf(event.runId);
    // Without the row the event itself says the most important.
    const { runId, status: state, step: steps } = event;
    this.logger.info(summary ?? { runId, state, code: event.failure?.code ?? null, steps }, 'run finished');
    this.onFinished(event, summary);
  }

  private async summaryOf(runId: RunId): Promise<RunSummary | null> {
    try {
      return await this.runs.summary(runId);
    } catch (err) {
      this.logger.warn({ err, runId }, 'the summary of a finished run could not be read');
      return null;
    }
  }
}
