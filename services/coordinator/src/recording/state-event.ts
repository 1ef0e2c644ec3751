import {
  newId,
  type AttemptId,
  type RunEventInput,
  type RunEventKind,
  type RunFailure,
  type RunStatus,
  type WorkerId,
} from '@roentgen/domain';

/** An event that goes with a change of state by the coordinator; its id is new because the transaction that appends it happens once. */
export function stateEvent(
  kind: RunEventKind,
  status: RunStatus,
  about: { attemptId?: AttemptId | null; workerId?: WorkerId | null; message?: string | null; failure?: RunFailure | null } = {},
  occurredAt: Date = new Date(),
): RunEventInput {
  return {
    eventId: `coordinator/${newId('crd')}`,
    kind,
    status,
    occurredAt: occurredAt.toISOString(),
    attemptId: about.attemptId ?? null,
    workerId: about.workerId ?? null,
    message: about.message ?? null,
    failure: about.failure ?? null,
    epoch: null,
    step: null,
    metrics: [],
    checkpoint: null,
  };
}
