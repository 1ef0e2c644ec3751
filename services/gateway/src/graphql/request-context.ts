import type { Actor, RunEvent } from '@roentgen/domain';
import type { ObservedOperation } from '../observability/observed-operation.js';
import type { WorkersChange } from '../modules/worker/worker-feed.js';
import type { Loaders } from './loaders.js';

/** What a resolver knows of the operation that it serves. There is no operation without an actor. */
export interface RequestContext {
  readonly actor: Actor;
  /** Also in the `x-request-id` header, in error extensions and in the log. */
  readonly requestId: string;
  /** For metrics and traces. */
  readonly operation: ObservedOperation;
  readonly loaders: Loaders;
  readonly subscriptions: Subscriptions;
}

/** Sources of the fields of Subscription. */
export interface Subscriptions {
  trainingRunEvents(actor: Actor, runId: string, afterSequence: number): Promise<AsyncIterableIterator<RunEvent>>;
  workersChanged(actor: Actor): AsyncIterableIterator<WorkersChange>;
}
