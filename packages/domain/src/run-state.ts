/**
 * The states of a training run and the moves between them: the one place that knows which are legal. Stores turn them into conditional
 * updates (`where status = any (statusesBefore(next))`), so a late actor changes nothing.
 */
export const RUN_STATUSES = [
  'QUEUED', // wants a worker
  'PREPARING', // an attempt was given to a worker, which loads images and the graph
  'RUNNING', // steps are being committed; one that its worker holds up (store or database away or full) says so in its `wait`
  'PAUSING',
  'PAUSED',
  'CANCELLING',
  'SUCCEEDED',
  'FAILED',
  'CANCELLED',
] as const;

export type RunStatus = (typeof RUN_STATUSES)[number];

const NEXT: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  QUEUED: ['PREPARING', 'CANCELLING', 'CANCELLED', 'FAILED', 'PAUSED'],
  PREPARING: ['RUNNING', 'QUEUED', 'PAUSING', 'PAUSED', 'CANCELLING', 'FAILED', 'CANCELLED'],
  RUNNING: ['SUCCEEDED', 'QUEUED', 'PAUSING', 'PAUSED', 'CANCELLING', 'FAILED', 'CANCELLED'],
  PAUSING: ['PAUSED', 'SUCCEEDED', 'CANCELLING', 'FAILED', 'CANCELLED', 'QUEUED'],
  PAUSED: ['QUEUED', 'CANCELLED'],
  CANCELLING: ['CANCELLED', 'SUCCEEDED', 'FAILED'],
  SUCCEEDED: [],
  FAILED: [],
  CANCELLED: [],
};

export const TERMINAL_RUN_STATUSES = ['SUCCEEDED', 'FAILED', 'CANCELLED'] as const satisfies readonly RunStatus[];

/** Whether nothing more will happen to a run in this state. */
export function isTerminal(status: RunStatus): boolean {
  return NEXT[status].length === 0;
}

/** Whether a run may go from one state to the other. */
export function canMove(from: RunStatus, to: RunStatus): boolean {
  return NEXT[from].includes(to);
}

/** The states from which `to` can be reached in one move: the `where` of a conditional update. */
export function statusesBefore(to: RunStatus): RunStatus[] {
  return RUN_STATUSES.filter((from) => canMove(from, to));
}
