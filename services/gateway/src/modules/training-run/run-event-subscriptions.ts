import type { RunStore } from '@roentgen/database';
import { NotFoundError, isTerminal, parseId, type Actor, type RunEvent } from '@roentgen/domain';
import type { Subscriptions } from '../../graphql/request-context.js';
import type { RunEventFeed } from './run-event-feed.js';
import { assertReached } from './training-run-service.js';

/** Checks who wants which events, then hands over to the feed. */
export class RunEventSubscriptions implements Pick<Subscriptions, 'trainingRunEvents'> {
  constructor(
    private readonly runs: RunStore,
    private readonly feed: RunEventFeed,
  ) {}

  /** @throws NotFoundError, InvalidInputError when the sequence is one that the run does not have yet */
  async trainingRunEvents(actor: Actor, id: string, afterSequence: number): Promise<AsyncIterableIterator<RunEvent>> {
    const runId = parseId('run', id, 'runId');
    const [run] = await this.runs.byIds(actor.projectId, [runId]);
    if (run === undefined) throw new NotFoundError(`There is no training run ${runId} in this project.`, { runId });
    assertReached(run, afterSequence);
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
