import { canMove, endsRun, type RunEvent, type RunStatus } from '@roentgen/domain';
import { HARMLESS, type Fault } from './faults.js';
import { TOTAL_STEPS } from './simulated-worker.js';

export interface EndedRun {
  readonly status: RunStatus;
  readonly events: readonly RunEvent[];
  /** Ids of the events that workers were told are recorded. */
  readonly confirmed: readonly string[];
  /** Attempts that ended as not taken by their worker. */
  readonly refused: readonly string[];
  /** Why attempts were given up although their worker had them. */
  readonly lostWhileHeld: readonly string[];
}

const FROM_WORKERS = new Set(['RUN_STARTED', 'STEP_COMMITTED', 'CHECKPOINT_SAVED', 'EVALUATED', 'ATTEMPT_FAILED', 'RUN_SUCCEEDED']);

/** What must hold of every run, whatever went wrong; the sentences say what does not. */
export function violations(run: EndedRun, schedule: readonly Fault[]): string[] {
  return [...logViolations(run), ...stateViolations(run), ...attemptViolations(run), ...outcomeViolations(run, schedule)];
}

function logViolations({ events, confirmed }: EndedRun): string[] {
  const ids = new Set(events.map((event) => event.eventId));
  const gap = events.findIndex((event, i) => event.sequence !== i + 1);
  return [
    ...(gap === -1 ? [] : [`sequence ${events[gap]?.sequence} stands at place ${gap + 1}`]),
    ...(ids.size === events.length ? [] : ['a fact is in the log twice']),
    ...confirmed.filter((eventId) => !ids.has(eventId)).map((eventId) => `${eventId} was confirmed and is not in the log`),
  ];
}

function stateViolations({ status, events }: EndedRun): string[] {
  const found: string[] = [];
  let now: RunStatus = 'QUEUED';
  for (const event of events) {
    if (event.status === null) continue;
    if (event.status !== now && !canMove(now, event.status)) found.push(`${event.sequence} ${event.kind}: from ${now} to ${event.status}`);
    now = event.status;
  }
  if (now !== status) found.push(`the log says ${now}, the run is ${status}`);
  const ends = events.filter((event) => endsRun(event.kind));
  if (ends.length !== 1) found.push(`${ends.length} ends: ${ends.map((event) => event.kind).join(', ')} (${status})`);
  else if (ends[0] !== events.at(-1)) found.push(`${events.at(-1)?.kind} after ${ends[0]?.kind}`);
  return found;
}

/** Only the newest attempt speaks, and only until it is over. */
function attemptViolations({ events, refused }: EndedRun): string[] {
  const found: string[] = [];
  let current: string | null = null;
  for (const event of events) {
    if (event.kind === 'ATTEMPT_ASSIGNED') {
      if (current !== null) found.push(`${event.sequence}: ${event.attemptId} was given out while ${current} was alive`);
      current = event.attemptId;
    } else if (FROM_WORKERS.has(event.kind) && event.attemptId !== current) {
      found.push(`${event.sequence} ${event.kind} of ${event.attemptId}, the attempt is ${current}`);
    }
    const leaves = event.status !== null && ['QUEUED', 'PAUSED', 'SUCCEEDED', 'FAILED', 'CANCELLED'].includes(event.status);
    if (leaves) current = null;
  }
  const started = new Set(
    events.flatMap((event) => (event.kind === 'RUN_STARTED' && event.attemptId !== null ? [event.attemptId as string] : [])),
  );
  for (const attemptId of refused) if (started.has(attemptId)) found.push(`${attemptId} counts as refused, and its worker has started it`);
  return found;
}

function outcomeViolations({ status, events, lostWhileHeld }: EndedRun, schedule: readonly Fault[]): string[] {
  const found: string[] = [];
  if (status === 'SUCCEEDED') {
    const winner = events.findLast((event) => event.kind === 'RUN_SUCCEEDED')?.attemptId;
    const steps = events.filter((event) => event.attemptId === winner && event.kind === 'STEP_COMMITTED').map((event) => event.step ?? 0);
    const first = steps[0] ?? TOTAL_STEPS + 1;
    const whole = steps.every((step, i) => step === first + i) && steps.length === TOTAL_STEPS - first + 1;
    if (!whole) found.push(`the steps of the attempt that succeeded are ${steps.join(' ')}`);
  }
  if (!schedule.every((fault) => HARMLESS.has(fault.kind))) return found;
  if (status !== 'SUCCEEDED') found.push(`${status} although nothing happened that may end a run`);
  // One whose offer was written, and never sent, is lost with nobody to hold it.
  return [...found, ...lostWhileHeld.map((reason) => `a worker that was well counts as lost: ${reason}`)];
}
