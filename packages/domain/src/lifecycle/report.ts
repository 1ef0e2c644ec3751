import type { RunEventInput, RunFailure } from '../run-events.js';
import { decide, failAttempt, heldWith, notHeld } from './decide.js';
import type { AttemptFence, Decision, RetryLimits, RunState } from './run-lifecycle.js';
import { Transition } from './transition.js';

/**
 * A batch of facts, in order: all of them or none. `known`: ids in the log already, of these facts and of those before them (`idsToLookUp`). What is in
 * the log changes nothing, whoever sends it: the answer to a batch that ended the attempt can get lost, and the worker must hear that all is well.
 *
 * Workers number their facts and send the next ones only when those before are recorded. One whose predecessor is not in the log shows that the
 * database went back behind what it had confirmed: the attempt ends, and another one does what lies after the last checkpoint again.
 */
export function decideReport(
  state: RunState,
  fence: AttemptFence,
  facts: readonly RunEventInput[],
  known: ReadonlySet<string>,
  limits: RetryLimits,
): Decision {
  let whole: Extract<Decision, { ok: true }> = { ok: true, state, changes: [], events: [] };
  const seen = new Set(known);
  for (const fact of facts) {
    if (seen.has(fact.eventId)) continue;
    const before = predecessorOf(fact.eventId);
    if (before !== null && !seen.has(before)) return decideFactsLost(state, fence, { before, fact }, limits);
    seen.add(fact.eventId);
    const next = decide(whole.state, { kind: 'FACT', fence, fact }, limits);
    if (!next.ok) return next;
    whole = { ok: true, state: next.state, changes: [...whole.changes, ...next.changes], events: [...whole.events, ...next.events] };
  }
  return whole;
}

/** The ids that `decideReport` wants to know of: whether they are in the log. */
export function idsToLookUp(facts: readonly RunEventInput[]): string[] {
  return [...new Set(facts.flatMap(({ eventId }) => [eventId, predecessorOf(eventId) ?? eventId]))];
}

/** `<attempt>/<worker>/<n>`, as workers number what they say of an attempt; facts without a number stand alone. */
const NUMBERED = /^(att_[^/]+\/wkr_[^/]+)\/([1-9][0-9]*)$/;

function predecessorOf(eventId: string): string | null {
  const [, producer, number] = NUMBERED.exec(eventId) ?? [];
  return producer === undefined || number === '1' ? null : `${producer}/${Number(number) - 1}`;
}

/** Nothing of the batch is taken, not even what comes before the gap: all of it is done again. */
function decideFactsLost(
  state: RunState,
  fence: AttemptFence,
  { before, fact }: { before: string; fact: RunEventInput },
  limits: RetryLimits,
): Decision {
  const attempt = heldWith(state, fence);
  if (attempt === null) return notHeld(state, fence);
  const message =
    `The log has no event ${before}, which worker ${attempt.workerName} was told is recorded: the database was restored from a backup, or went on from a copy ` +
    'that lacked it. The attempt ends, and the run goes on from its last checkpoint.';
  const failure: RunFailure = { code: 'FACTS_LOST', message, details: { missing: before, next: fact.eventId } };
  const next = new Transition(state);
  next.emit('ATTEMPT_FAILED', null, { attemptId: attempt.attemptId, workerId: attempt.workerId, message, failure });
  failAttempt(next, attempt, 'FAILED', failure, limits);
  return next.refuse(message);
}
