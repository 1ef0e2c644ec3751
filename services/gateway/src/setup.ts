import { parseArgs } from 'node:util';
import { Database, TokenStore, type Queryable } from '@roentgen/database';
import { InvalidInputError, coerceError, newId, type ProjectId } from '@roentgen/domain';
import { createLogger } from '@roentgen/logger';
import { S3ObjectStore } from '@roentgen/storage';
import type { GatewayConfig } from './config.js';
import { hashToken, newToken } from './modules/access/tokens.js';

export interface SetupOptions {
  /** Make an admin token when the project has none that lasts. */
  readonly ensureAdminToken: boolean;
  /** Make an admin token that lives so many hours; null: none. */
  readonly sessionTokenHours: number | null;
}

export interface SetupResult {
  /** The migrations that ran now. */
  readonly migrations: readonly string[];
  readonly adminToken: string | null;
  readonly sessionToken: string | null;
}

const MAX_SESSION_HOURS = 24 * 365;

/** @throws InvalidInputError naming the option that is wrong */
export function parseSetupArguments(args: readonly string[]): SetupOptions {
  const usage = 'Known options: --ensure-admin-token, --session-token HOURS.';
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { 'ensure-admin-token': { type: 'boolean' }, 'session-token': { type: 'string' } },
    });
    const hours = values['session-token'] === undefined ? null : Number(values['session-token']);
    if (hours !== null && !(Number.isInteger(hours) && hours >= 1 && hours <= MAX_SESSION_HOURS)) {
      throw new InvalidInputError(`--session-token ${values['session-token']}: takes whole hours from 1 to ${MAX_SESSION_HOURS}.`);
    }
    return { ensureAdminToken: values['ensure-admin-token'] ?? false, sessionTokenHours: hours };
  } catch (thrown) {
    if (thrown instanceof InvalidInputError) throw thrown;
    throw new InvalidInputError(`${coerceError(thrown).message} ${usage}`);
  }
}

/** Brings database and object store up to this version and makes the tokens asked for. Safe when several run at once. */
export async function setUp(config: GatewayConfig, options: SetupOptions): Promise<SetupResult> {
  const { startupTimeoutMs } = config;
  const logger = createLogger('setup', config.logLevel);
  const database = await Database.connect({ ...config.postgres, startupTimeoutMs }, logger);
  try {
    const migrations = await database.migrate();
    const store = await S3ObjectStore.connect({ ...config.store, startupTimeoutMs }, logger);
    await store.ensureBucket();
    const tokens = new TokenStore(database);
    return await database.transaction('set_up_tokens', async (tx) => {
      const { id: projectId } = await tokens.lockDefaultProject(tx);
      const wantsAdmin = options.ensureAdminToken && !(await tokens.hasLastingAdmin(tx, projectId));
      const { sessionTokenHours: hours } = options;
      return {
        migrations,
        adminToken: wantsAdmin ? await addAdminToken(tokens, tx, projectId, 'admin', null) : null,
        sessionToken: hours === null ? null : await addAdminToken(tokens, tx, projectId, 'local session', hours),
      };
    });
  } finally {
    await database.close();
  }
}

async function addAdminToken(
  tokens: TokenStore,
  tx: Queryable,
  projectId: ProjectId,
  name: string,
  expiresInHours: number | null,
): Promise<string> {
  const token = newToken();
  await tokens.create(tx, { id: newId('tok'), projectId, name, role: 'admin', sha256: hashToken(token), expiresInHours });
  return token;
}
