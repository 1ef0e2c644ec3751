import type {
  Database,
  HeldPass,
  JanitorPassStore,
  JanitorWorkStore,
  ObjectReferenceStore,
  ObjectRemovalStore,
  Queryable,
} from '@roentgen/database';
import type { Clock, CoordinatorId, JanitorFinding, JanitorMode, ObjectInventory, ObjectStore } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { RetentionPolicy } from './retention.js';

export interface JanitorOptions {
  /** How long a pass stays with a coordinator that has gone silent. */
  readonly leaseMs: number;
  /** Pause between the beginnings of two passes that nobody asked for; 0: there are none. */
  readonly intervalMs: number;
  /** What those do. DRY_RUN: no pass deletes, those that users ask for included. */
  readonly automaticMode: JanitorMode;
  /** How long an object that nobody refers to is left where it is. */
  readonly graceMs: number;
  readonly retention: RetentionPolicy;
  /** What is looked at in one step. */
  readonly pageSize: number;
  /** Findings after which a pass looks no further. */
  readonly maxFindings: number;
}

export interface JanitorParts {
  readonly id: CoordinatorId;
  readonly database: Database;
  readonly passes: JanitorPassStore;
  readonly removals: ObjectRemovalStore;
  readonly work: JanitorWorkStore;
  readonly references: ObjectReferenceStore;
  readonly inventory: ObjectInventory;
  readonly objects: Pick<ObjectStore, 'stat'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options: JanitorOptions;
}

/** What one step of a pass found, and after what the next one goes on; null: there is no next one in this phase. */
export interface StepResult {
  readonly findings: readonly JanitorFinding[];
  readonly after: string | null;
  /** What is written together with the findings. */
  readonly write?: (tx: Queryable) => Promise<void>;
}

export type Phase = (parts: JanitorParts, pass: HeldPass, after: string) => Promise<StepResult>;

/** Another coordinator has gone on with the pass. */
export class PassLostError extends Error {}

/** A transaction that writes only while the pass is ours. @throws PassLostError */
export async function inPass<T>(parts: JanitorParts, pass: HeldPass, name: string, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return await parts.database.transaction(name, async (tx) => {
    if (!(await parts.passes.hold(tx, pass))) throw new PassLostError(`janitor pass ${pass.passId} belongs to another coordinator`);
    return await work(tx);
  });
}

/** Like `inPass`; in a dry run the same statements are tried, and undone: so it says exactly what a pass that deletes would do. */
export async function inPassOrDry<T>(parts: JanitorParts, pass: HeldPass, name: string, work: (tx: Queryable) => Promise<T>): Promise<T> {
  if (pass.mode === 'DELETE') return await inPass(parts, pass, name, work);
  const results: T[] = [];
  const undo = new Error('a dry run is rolled back');
  try {
    await inPass(parts, pass, name, async (tx) => {
      results.push(await work(tx));
      throw undo;
    });
  } catch (thrown) {
    if (thrown !== undo) throw thrown;
  }
  return results[0]!;
}
