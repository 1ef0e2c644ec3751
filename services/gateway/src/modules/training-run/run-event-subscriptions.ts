import type { RunStore } from '@roentgen/database';
import { InvalidInputError, NotFoundError, isTerminal, parseId, type Actor, type RunEvent } from '@roentgen/domain';
import type { Subscriptions } from '../../graphql/request-context.js';
import type { RunEventFeed } from './run-event-feed.js';
import { assertNotNegative } from './training-run-service.js';

/** Checks who wants which events, then hands over to the feed. */
export class RunEventSubscriptions implements Pick<Subscriptions, 'trainingRunEvents'> {
  constructor(
    private readonly runs: RunStore,
    private readonly feed: RunEventFeed,
  ) {}

  /** @throws NotFoundError, InvalidInputError when the sequence is one that the run does not have yet */
  async trainingRunEvents(actor: Actor, id: string, afterSequence: number): Promise<AsyncIterableIterator<RunEvent>> {
    const runId = parseId('run', id, 'runId');
    assertNotNegative(afterSequence);
    const [run] = await this.runs.byIds(actor.projectId, [runId]);
    if (run === undefined) throw new NotFoundError(`There is no training run ${runId} in this project.`, { runId });
    if (afterSequence > run.headSequence) {
      throw new InvalidInputError(
        `afterSequence ${afterSequence} lies ahead: the newest event of ${runId} is ${run.headSequence}. Give the last sequence received.`,
        [{ field: 'afterSequence', message: `must be at most ${run.headSequence}` }],
      );
    }
    if (isTerminal(run.status) && afterSequence === run.headSequence) return nothing();
    return this.feed.subscribe(runId, afterSequence);
  }
}

function nothing(): AsyncIterableIterator<RunEvent> {
  const done = { done: true, value: undefined } as const;
  return {
    next: () => Promise.resolve(done),
    return: () => Promise.resolve(done),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
