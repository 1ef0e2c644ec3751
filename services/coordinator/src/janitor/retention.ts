import type { CheckpointId } from '@roentgen/domain';

export interface RetentionPolicy {
  /** The newest so many, by step; at least 1. */
  readonly keepLast: number;
  /** The so many with the lowest validation loss. */
  readonly keepBest: number;
}

export interface CheckpointToJudge {
  readonly checkpointId: CheckpointId;
  readonly step: number;
  /** At its step; null where it was not evaluated, or is not finite. */
  readonly validationLoss: number | null;
  /** Something is under way that goes on from it. */
  readonly needed: boolean;
}

/** The checkpoints of one run that it can do without. Of two with the same loss the later one is the better. */
export function spareCheckpoints<C extends CheckpointToJudge>(checkpoints: readonly C[], policy: RetentionPolicy): C[] {
  const last = [...checkpoints].sort((a, b) => b.step - a.step).slice(0, Math.max(1, policy.keepLast));
  const best = checkpoints
    .flatMap((checkpoint) => (checkpoint.validationLoss === null ? [] : [{ checkpoint, loss: checkpoint.validationLoss }]))
    .sort((a, b) => a.loss - b.loss || b.checkpoint.step - a.checkpoint.step)
    .slice(0, policy.keepBest);
  const kept = new Set([...last, ...best.map(({ checkpoint }) => checkpoint)].map(({ checkpointId }) => checkpointId));
  return checkpoints.filter(({ checkpointId, needed }) => !needed && !kept.has(checkpointId));
}
