import { z } from 'zod';
import { EFFICIENTNET_VARIANT_NAMES, idColumn, uuidOf, type ModelId, type ProjectId, type RunId } from '@roentgen/domain';
import type { Database } from './database.js';
import { timeKey, timePage, type Page, type PageRequest } from './page.js';

const ModelRow = z
  .object({
    id: idColumn('mdl'),
    run_id: idColumn('run'),
    checkpoint_id: idColumn('ckp'),
    name: z.string(),
    variant: z.enum(EFFICIENTNET_VARIANT_NAMES),
    classes: z.array(z.string()),
    created_at: z.string(),
  })
  .transform(({ run_id: runId, checkpoint_id: checkpointId, created_at: createdAt, ...row }) => ({
    ...row,
    runId,
    checkpointId,
    createdAt,
  }));
export type ModelRecord = z.infer<typeof ModelRow>;

const COLUMNS = 'id, run_id, checkpoint_id, name, variant, classes, created_at';

/** Models of finished runs; made by the recorder. */
export class ModelStore {
  constructor(private readonly db: Database) {}

  async byIds(projectId: ProjectId, ids: readonly ModelId[]): Promise<ModelRecord[]> {
    const rows = await this.db.query('models_by_ids', `select ${COLUMNS} from models where project_id = $1 and id = any ($2::uuid[])`, [
      uuidOf(projectId),
      ids.map(uuidOf),
    ]);
    return ModelRow.array().parse(rows);
  }

  async byRuns(projectId: ProjectId, runIds: readonly RunId[]): Promise<ModelRecord[]> {
    const rows = await this.db.query(
      'models_by_runs',
      `select ${COLUMNS} from models where project_id = $1 and run_id = any ($2::uuid[])`,
      [uuidOf(projectId), runIds.map(uuidOf)],
    );
    return ModelRow.array().parse(rows);
  }

  /** Where the model's tensors lie in the object store. */
  async tensorsKey(projectId: ProjectId, id: ModelId): Promise<string | null> {
    const rows = await this.db.query(
      'model_tensors_key',
      'select c.object_key from models m join checkpoints c on c.id = m.checkpoint_id where m.project_id = $1 and m.id = $2',
      [uuidOf(projectId), uuidOf(id)],
    );
    return z.object({ object_key: z.string() }).optional().parse(rows[0])?.object_key ?? null;
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<ModelRecord>> {
    const rows = await this.db.query(
      'list_models',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from models
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => ModelRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_models', 'select count(*) as count from models where project_id = $1', [uuidOf(projectId)]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }
}
