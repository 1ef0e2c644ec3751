import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createClient, type Client } from 'graphql-ws';
import { afterAll, beforeAll, inject } from 'vitest';
import { WebSocket } from 'ws';
import { Database, EventStore } from '@roentgen/database';
import {
  RunEventInputSchema,
  idFromUuid,
  newId,
  uuidOf,
  type ProjectId,
  type Role,
  type RunEvent,
  type RunEventKind,
  type RunId,
} from '@roentgen/domain';
import { Gateway, readConfig, type GatewayConfig } from '@roentgen/gateway';
import { silentLogger } from '@roentgen/logger';
import { S3ObjectStore } from '@roentgen/storage';
import { rawGraphql, type RawAnswer } from '../testkit/graphql-client.js';
import { seedProject, seedRun } from '../testkit/rows.js';

/** A token that a test made, with the project that it belongs to. */
export interface TestToken {
  readonly token: string;
  readonly projectId: ProjectId;
}

/** A gateway on the shared stack with a schema, subject prefix and bucket of its own; `open` and `close` it around a test file. */
export class GatewayHarness {
  private constructor(
    readonly config: GatewayConfig,
    readonly database: Database,
    readonly store: S3ObjectStore,
    readonly gateway: Gateway,
  ) {}

  static async open(): Promise<GatewayHarness> {
    const config = testConfig();
    const database = await Database.connect({ ...config.postgres, startupTimeoutMs: 5_000 }, silentLogger);
    await database.migrate();
    const store = await S3ObjectStore.connect({ ...config.store, startupTimeoutMs: 5_000 }, silentLogger);
    await store.ensureBucket();
    const gateway = await Gateway.create(config);
    await gateway.start();
    return new GatewayHarness(config, database, store, gateway);
  }

  get url(): string {
    return this.gateway.url;
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.database.close();
  }

  /** A token in the project given, or in a new one. */
  async makeToken(role: Role, options: { projectId?: ProjectId; expiresInHours?: number } = {}): Promise<TestToken> {
    const token = `rgt_${randomBytes(32).toString('base64url')}`;
    const projectId = options.projectId ?? (await this.makeProject());
    await this.database.query(
      'test_token',
      `insert into api_tokens (id, project_id, name, role, token_sha256, expires_at) values ($1, $2, $3, $4, $5, now() + $6 * interval '1 hour')`,
      [
        uuidOf(newId('tok')),
        uuidOf(projectId),
        `test ${role}`,
        role,
        createHash('sha256').update(token).digest(),
        options.expiresInHours ?? null,
      ],
    );
    return { token, projectId };
  }

  /** The data of an operation. @throws when the answer has errors */
  async ask(token: TestToken, query: string, variables?: unknown): Promise<unknown> {
    const { status, body } = await this.raw(token, query, variables);
    if (body.errors !== undefined) throw new Error(`HTTP ${status}: ${JSON.stringify(body.errors)}`);
    return body.data;
  }

  /** The whole answer. */
  raw(token: TestToken | null, query: string, variables?: unknown): Promise<RawAnswer> {
    return rawGraphql(this.url, query, { variables, ...(token !== null && { token: token.token }) });
  }

  /** A graphql-ws client that does not reconnect by itself. */
  socket(token: TestToken | null, url = this.url): Client {
    return createClient({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      // The socket stays open between operations.
      lazyCloseTimeout: 60_000,
      ...(token !== null && { connectionParams: { authorization: `Bearer ${token.token}` } }),
    });
  }

  /** An upload with these files, all sent and found good by the inspection that the test stands in for; others were rejected. */
  async makeReadyUpload(token: TestToken, files: readonly UploadedFile[]): Promise<string> {
    const created = await this.ask(token, 'mutation { createUpload(input: {}) { upload { id } } }');
    const uploadId = textAt(created, 'createUpload.upload.id');
    const input = { uploadId, files: files.map(({ rejected: _, ...file }) => ({ bytes: 100, ...file })) };
    await this.ask(token, 'mutation ($input: AddUploadFilesInput!) { addUploadFiles(input: $input) { ok error { message } } }', { input });
    await this.ask(token, `mutation { completeUpload(input: { uploadId: "${uploadId}" }) { ok } }`);
    await this.inspect(
      token.projectId,
      uploadId,
      files.filter((file) => file.rejected === true).map((file) => file.fileName),
    );
    return uploadId;
  }

  /** Records what a worker and a coordinator would: each pending file is an image, except the rejected ones. */
  async inspect(projectId: ProjectId, uploadId: string, rejected: readonly string[] = []): Promise<void> {
    const upload = uuidOf(`upl_${uploadId.slice(4)}`);
    await this.database.transaction('inspect', async (tx) => {
      await tx.query(
        'objects',
        `insert into objects (project_id, sha256, bytes, format, width_px, height_px, channels)
         select $1, sha256(file_name::bytea), declared_bytes, 'png', 64, 48, 1 from upload_files where upload_id = $2 on conflict do nothing`,
        [uuidOf(projectId), upload],
      );
      await tx.query(
        'files',
        `update upload_files
            set status = case when file_name = any ($2::text[]) then 'REJECTED' else 'VERIFIED' end,
                sha256 = case when file_name = any ($2::text[]) then null else sha256(file_name::bytea) end,
                error_code = case when file_name = any ($2::text[]) then 'TRUNCATED' end,
                error_message = case when file_name = any ($2::text[]) then 'the image ends early' end
          where upload_id = $1 and status = 'PENDING'`,
        [upload, rejected],
      );
      await tx.query('chunks', `update chunks set status = 'DONE', finished_at = now() where upload_id = $1`, [upload]);
      await tx.query('upload', `update uploads set status = 'READY' where id = $1`, [upload]);
    });
  }

  /** A queued run in a project of its own, with a token of that project. */
  async makeRun(): Promise<TestToken & { readonly runId: RunId }> {
    const seeded = await seedProject(this.database);
    return { ...(await this.makeToken('admin', { projectId: seeded.projectId })), runId: await seedRun(this.database, seeded) };
  }

  /** Appends events as the recorder does and returns them; nobody is told. */
  async appendEvents(runId: RunId, ids: readonly string[], kind: RunEventKind = 'STEP_COMMITTED'): Promise<RunEvent[]> {
    const events = new EventStore(this.database);
    const inputs = ids.map((eventId) => RunEventInputSchema.parse({ eventId, kind, occurredAt: new Date().toISOString() }));
    return await this.database.transaction('append', (tx) => events.append(tx, runId, inputs));
  }

  private async makeProject(): Promise<ProjectId> {
    const id = idFromUuid('prj', randomUUID());
    await this.database.query('test_project', `insert into projects (id, slug, name) values ($1, $2, 'A project of a test')`, [
      uuidOf(id),
      `p-${randomUUID()}`,
    ]);
    return id;
  }
}

export interface UploadedFile {
  readonly fileName: string;
  readonly label?: string;
  readonly patient?: string;
  readonly sha256?: string;
  readonly rejected?: boolean;
}

/** Opens one harness for all tests of the file. */
export function useGateway(): () => GatewayHarness {
  let harness: GatewayHarness | undefined;
  beforeAll(async () => {
    harness = await GatewayHarness.open();
  });
  afterAll(() => harness?.close());
  return () => {
    if (harness === undefined) throw new Error('the gateway is there only inside of tests');
    return harness;
  };
}

/** The configuration of one test file on the shared stack. */
export function testConfig(): GatewayConfig {
  const stack = inject('stack');
  const name = `g${randomUUID().slice(0, 8)}`;
  return readConfig({
    POSTGRES_URL: stack.postgres.url,
    POSTGRES_SCHEMA: name,
    NATS_URL: stack.nats.url,
    NATS_USER: 'gateway',
    NATS_PASSWORD: stack.nats.users['gateway']?.password ?? '',
    NATS_SUBJECT_PREFIX: name,
    S3_ENDPOINT: stack.store.endpoint,
    S3_ACCESS_KEY: stack.store.accessKey,
    S3_SECRET_KEY: stack.store.secretKey,
    S3_BUCKET: `test-${name}`,
    LOG_LEVEL: 'silent',
    GATEWAY_PORT: '0',
    GATEWAY_TOKEN_RECHECK_MS: '200',
  });
}

/** What lies at a path like `upload.files.0.id`; undefined where there is nothing. */
export function at(data: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce(
      (value: unknown, key) =>
        typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined,
      data,
    );
}

/** The text at a path. @throws when there is none */
export function textAt(data: unknown, path: string): string {
  const value = at(data, path);
  if (typeof value !== 'string') throw new Error(`no text at ${path} of ${JSON.stringify(data)}`);
  return value;
}
