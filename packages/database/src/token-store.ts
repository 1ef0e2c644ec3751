import { z } from 'zod';
import { NotFoundError, ROLES, idColumn, uuidOf, type ProjectId, type Role, type TokenId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';
import { timeKey, timePage, type Page, type PageRequest } from './page.js';

const TokenRow = z
  .object({
    id: idColumn('tok'),
    project_id: idColumn('prj'),
    name: z.string(),
    role: z.enum(ROLES),
    created_at: z.string(),
    expires_at: z.string().nullable(),
    revoked_at: z.string().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    role: row.role,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  }));
/** An API token as it is kept: never the token itself. */
export type TokenRecord = z.infer<typeof TokenRow>;

const ProjectRow = z.object({ id: idColumn('prj'), slug: z.string(), name: z.string() });
export type ProjectRecord = z.infer<typeof ProjectRow>;

export interface NewToken {
  readonly id: TokenId;
  readonly projectId: ProjectId;
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the token, 32 bytes. */
  readonly sha256: Buffer;
  readonly expiresInHours: number | null;
}

const COLUMNS = 'id, project_id, name, role, created_at, expires_at, revoked_at';

/** API tokens, and the projects that they belong to. */
export class TokenStore {
  constructor(private readonly db: Database) {}

  /** The token with this hash, unless it has expired or was revoked. */
  async findLive(sha256: Buffer): Promise<TokenRecord | null> {
    const rows = await this.db.query(
      'find_live_token',
      `select ${COLUMNS} from api_tokens where token_sha256 = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
      [sha256],
    );
    return TokenRow.nullable().parse(rows[0] ?? null);
  }

  async create(tx: Queryable, token: NewToken): Promise<TokenRecord> {
    const rows = await tx.query(
      'create_token',
      `insert into api_tokens (id, project_id, name, role, token_sha256, expires_at)
       values ($1, $2, $3, $4, $5, now() + $6 * interval '1 hour')
       returning ${COLUMNS}`,
      [uuidOf(token.id), uuidOf(token.projectId), token.name, token.role, token.sha256, token.expiresInHours],
    );
    return TokenRow.parse(rows[0]);
  }

  /** Ends a token; the time of a first revocation stays. Null when the project has no such token. */
  async revoke(tx: Queryable, projectId: ProjectId, id: TokenId): Promise<TokenRecord | null> {
    const rows = await tx.query(
      'revoke_token',
      `update api_tokens set revoked_at = coalesce(revoked_at, now()) where project_id = $1 and id = $2 returning ${COLUMNS}`,
      [uuidOf(projectId), uuidOf(id)],
    );
    return TokenRow.nullable().parse(rows[0] ?? null);
  }

  async find(projectId: ProjectId, id: TokenId): Promise<TokenRecord | null> {
    const rows = await this.db.query('find_token', `select ${COLUMNS} from api_tokens where project_id = $1 and id = $2`, [
      uuidOf(projectId),
      uuidOf(id),
    ]);
    return TokenRow.nullable().parse(rows[0] ?? null);
  }

  async list(projectId: ProjectId, page: PageRequest): Promise<Page<TokenRecord>> {
    const rows = await this.db.query(
      'list_tokens',
      `select ${COLUMNS}, created_at::text as key_at, id as key_id
         from api_tokens
        where project_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2::timestamptz, $3::uuid))
        order by created_at desc, id desc
        limit $4`,
      [uuidOf(projectId), ...timeKey(page), page.limit + 1],
    );
    return timePage(rows, page.limit, (row) => TokenRow.parse(row));
  }

  async count(projectId: ProjectId): Promise<number> {
    const rows = await this.db.query('count_tokens', 'select count(*) as count from api_tokens where project_id = $1', [uuidOf(projectId)]);
    return z.object({ count: z.number() }).parse(rows[0]).count;
  }

  /** Whether the project has an admin token that is not revoked and does not expire. */
  async hasLastingAdmin(tx: Queryable, projectId: ProjectId): Promise<boolean> {
    const rows = await tx.query(
      'has_lasting_admin',
      `select 1 from api_tokens where project_id = $1 and role = 'admin' and revoked_at is null and expires_at is null limit 1`,
      [uuidOf(projectId)],
    );
    return rows.length > 0;
  }

  /** @throws NotFoundError */
  async project(id: ProjectId): Promise<ProjectRecord> {
    const rows = await this.db.query('find_project', 'select id, slug, name from projects where id = $1', [uuidOf(id)]);
    if (rows.length === 0) throw new NotFoundError(`There is no project ${id}.`, { projectId: id });
    return ProjectRow.parse(rows[0]);
  }

  /** The project that exists from the first migration on; locked for the transaction, so that set-ups take turns. */
  async lockDefaultProject(tx: Queryable): Promise<ProjectRecord> {
    const rows = await tx.query('lock_default_project', `select id, slug, name from projects where slug = 'default' for update`);
    return ProjectRow.parse(rows[0]);
  }
}
