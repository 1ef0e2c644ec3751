import type { RunFailure } from '../run-events.js';
import { FATAL_TO_WORKER, ruleOf, type FailureCause } from './failure-causes.js';
import type { EndedAttemptState, RetryLimits } from './run-lifecycle.js';

/** What becomes of a run whose attempt failed. `failure`: what the run fails with, where that is not what the attempt failed with. */
export type RetryVerdict =
  { readonly kind: 'retry'; readonly afterMs: number } | { readonly kind: 'fail'; readonly failure: RunFailure | null };

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 300_000;
/** Workers send their steps every 100 ms: what is recorded of two that died at the same step may differ by a few. */
const SAME_STEP_WITHIN = 5;

/** Whether a run is tried again after its newest attempt, the last of `ended`, which failed with `cause`. */
export function judgeRun(ended: readonly EndedAttemptState[], cause: FailureCause, limits: RetryLimits): RetryVerdict {
  const last = ended.at(-1);
  const rule = ruleOf(cause);
  const poison = poisonEvidence(ended);
  if (poison !== null) return { kind: 'fail', failure: poison };
  if (rule.retry === 'never') return { kind: 'fail', failure: null };
  if (rule.retry === 'free' && cause === 'WORKER_DRAINED') return retry(0);
  if (last?.progressed === true) return retry(rule.pauseMs);
  const inVain = triesInVain(ended);
  if (rule.retry === 'free') return retry(Math.max(rule.pauseMs, pauseMs(inVain.length)));
  const sameCause = inVain.filter((attempt) => attempt.cause === cause).length;
  if (rule.retry === 'once' && sameCause > 1) return { kind: 'fail', failure: null };
  const charged = inVain.filter((attempt) => attempt.cause !== null && ruleOf(attempt.cause).retry !== 'free');
  if (charged.length >= limits.maxAttempts) return { kind: 'fail', failure: tooManyAttempts(charged, limits) };
  return retry(pauseMs(charged.length));
}

const retry = (afterMs: number): RetryVerdict => ({ kind: 'retry', afterMs });

/** The first repetition comes at once, the next ones after 1, 2, 4 … s. */
function pauseMs(triesInVain: number): number {
  return triesInVain < 2 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (triesInVain - 2));
}

/** The failed attempts since one last got the run further. */
export function triesInVain(ended: readonly EndedAttemptState[]): EndedAttemptState[] {
  const lastProgress = ended.findLastIndex((attempt) => attempt.progressed);
  return ended.slice(lastProgress + 1).filter((attempt) => attempt.cause !== null);
}

/**
 * Two workers that were lost at the same step of a run: it is the run. Null where the newest attempt is not the second such one. A loss says nothing about
 * its step any more once a later attempt has passed that: whatever took the worker, the run did not do it there again.
 */
function poisonEvidence(ended: readonly EndedAttemptState[]): RunFailure | null {
  const last = ended.at(-1);
  if (last === undefined || !killedItsWorker(last)) return null;
  const before = ended
    .slice(0, -1)
    .findLast(
      (other, i) =>
        killedItsWorker(other) &&
        other.workerName !== last.workerName &&
        Math.abs(other.lastStep - last.lastStep) <= SAME_STEP_WITHIN &&
        ended.slice(i + 1).every((later) => later.lastStep <= other.lastStep + SAME_STEP_WITHIN),
    );
  if (before === undefined) return null;
  const evidence = [before, last].map(({ number, workerName, lastStep, cause }) => ({
    attempt: number,
    worker: workerName,
    step: lastStep,
    cause,
  }));
  return {
    code: 'POISON_RUN',
    message:
      `Workers ${before.workerName} (attempt ${before.number}) and ${last.workerName} (attempt ${last.number}) were both lost after step ${last.lastStep}: ` +
      'the run takes workers with it, so it gets no third one. See their logs; fork the run with another recipe when it needs more memory than they have.',
    details: { evidence },
  };
}

const killedItsWorker = ({ cause }: EndedAttemptState): boolean => cause !== null && FATAL_TO_WORKER.has(cause);

function tooManyAttempts(charged: readonly EndedAttemptState[], { maxAttempts }: RetryLimits): RunFailure {
  const evidence = charged.map(({ number, workerName, lastStep, cause }) => ({
    attempt: number,
    worker: workerName,
    step: lastStep,
    cause,
  }));
  return {
    code: 'TOO_MANY_ATTEMPTS',
    message:
      `${charged.length} attempts in a row got the run no further, the most it gets (COORDINATOR_MAX_ATTEMPTS ${maxAttempts}): ` +
      `${evidence.map(({ attempt, worker, cause }) => `${attempt} on ${worker} ${cause}`).join(', ')}.`,
    details: { evidence },
  };
}

/** How an attempt of a worker ended, for judging the worker; newest first. */
export interface WorkerAttempt {
  readonly runId: string;
  readonly number: number;
  readonly status: string;
  readonly cause: FailureCause | null;
  readonly message: string | null;
}

/**
 * The evidence against a worker: its last attempts, when those were failures in a row that speak against it, at `failures` different runs. Null when it
 * may go on. What blames nobody, such as being asked to leave, neither counts nor breaks the series.
 */
export function judgeWorker(attempts: readonly WorkerAttempt[], failures: number): WorkerAttempt[] | null {
  const evidence = new Map<string, WorkerAttempt>();
  for (const attempt of attempts) {
    if (attempt.cause === null) return null;
    const { blames } = ruleOf(attempt.cause);
    if (blames === 'run') return null;
    if (blames === 'worker' && !evidence.has(attempt.runId)) evidence.set(attempt.runId, attempt);
    if (evidence.size >= failures) return [...evidence.values()];
  }
  return null;
}
