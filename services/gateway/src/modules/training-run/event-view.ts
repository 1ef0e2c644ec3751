import type { RunEvent } from '@roentgen/domain';
import type { TrainingRunEventType } from './training-run.type.js';

/** A recorded event as the flat row that the API gives. */
export function toEventType(event: RunEvent): TrainingRunEventType {
  const { checkpoint, failure, ...rest } = event;
  return { ...rest, checkpointId: checkpoint?.checkpointId ?? null, failureCode: failure?.code ?? null };
}
