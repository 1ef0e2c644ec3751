import { randomUUID } from 'node:crypto';
import { RunEventInputSchema, type RunEventInput, type RunEventKind, type RunStatus } from '@roentgen/domain';

/** A fact that a user brought about. It is appended in the transaction that makes it true, so a fresh id is enough. */
export function stateEvent(kind: RunEventKind, status: RunStatus | null, message: string | null): RunEventInput {
  return RunEventInputSchema.parse({ eventId: `gateway/${randomUUID()}`, kind, occurredAt: new Date().toISOString(), status, message });
}
