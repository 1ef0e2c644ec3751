import { z } from 'zod';
import { idColumn, uuidOf, type CheckpointId, type ProjectId, type RequestedRecipe, type RunId, type TokenId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

const ForkPointRow = z
  .object({ id: idColumn('ckp'), run_id: idColumn('run'), epoch: z.number(), step: z.number() })
  .transform((row) => ({ checkpointId: row.id, runId: row.run_id, epoch: row.epoch, step: row.step }));

/** A checkpoint that a fork can start from; `runId`: the run that made it. */
export type ForkPoint = z.infer<typeof ForkPointRow>;

export interface NewFork {
  readonly id: RunId;
  readonly projectId: ProjectId;
  readonly name: string;
  /** The run whose dataset version it keeps. */
  readonly from: RunId;
  readonly checkpointId: CheckpointId;
  readonly recipe: RequestedRecipe;
  readonly createdBy: TokenId;
  readonly trainSamples: number;
}

/** Runs that start from a checkpoint of another one. */
export class ForkStore {
  constructor(private readonly db: Database) {}

  async checkpoint(projectId: ProjectId, id: CheckpointId): Promise<ForkPoint | null> {
    return await this.point('fork_checkpoint', 'select id, run_id, epoch, step from checkpoints where project_id = $1 and id = $2', [
      uuidOf(projectId),
      uuidOf(id),
    ]);
  }

  /** What the run would go on from: its newest checkpoint, or, of a fork that has none yet, the one that it started from. */
  async last(projectId: ProjectId, runId: RunId): Promise<ForkPoint | null> {
    return await this.point(
      'fork_last_checkpoint',
      `select c.id, c.run_id, c.epoch, c.step from training_runs r join checkpoints c on c.id = r.checkpoint_id where r.project_id = $1 and r.id = $2`,
      [uuidOf(projectId), uuidOf(runId)],
    );
  }

  /** The run's checkpoint with the lowest validation loss, of two the earlier; null when none was evaluated. */
  async best(projectId: ProjectId, runId: RunId): Promise<ForkPoint | null> {
    return await this.point(
      'fork_best_checkpoint',
      `select c.id, c.run_id, c.epoch, c.step
         from checkpoints c join metrics m on m.run_id = c.run_id and m.name = 'val/loss' and m.step = c.step and m.kind = 'FINITE'
        where c.project_id = $1 and c.run_id = $2
        order by m.value, c.step limit 1`,
      [uuidOf(projectId), uuidOf(runId)],
    );
  }

  /**
   * Queues the fork. While its row points to the checkpoint, which it does until it has one of its own, the checkpoint's row cannot be deleted. False
   * when run or checkpoint are not there any more.
   */
  async create(tx: Queryable, fork: NewFork): Promise<boolean> {
    const rows = await tx.query(
      'create_fork',
      `insert into training_runs (id, project_id, name, dataset_version_id, recipe, epochs, created_by, initial_weights_id, train_samples,
                                  forked_from_run_id, forked_from_checkpoint_id, forked_from_step, forked_from_epoch,
                                  checkpoint_id, committed_step, highest_step, epoch)
       select $1, r.project_id, $3, r.dataset_version_id, $4::jsonb, $5, $6, r.initial_weights_id, $7, r.id, c.id, c.step, c.epoch, c.id, c.step, c.step, c.epoch
         from training_runs r join checkpoints c on c.id = $8 and c.project_id = r.project_id
        where r.project_id = $2 and r.id = $9
          for key share of c
       returning id`,
      [
        uuidOf(fork.id),
        uuidOf(fork.projectId),
        fork.name,
        JSON.stringify(fork.recipe),
        fork.recipe.epochs,
        uuidOf(fork.createdBy),
        fork.trainSamples,
        uuidOf(fork.checkpointId),
        uuidOf(fork.from),
      ],
    );
    return rows.length === 1;
  }

  private async point(name: string, sql: string, parameters: readonly unknown[]): Promise<ForkPoint | null> {
    const [row] = await this.db.query(name, sql, parameters);
    return row === undefined ? null : ForkPointRow.parse(row);
  }
}
