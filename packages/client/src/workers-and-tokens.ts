import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import {
  CreateApiTokenDocument,
  type CreateApiTokenMutation,
  RevokeApiTokenDocument,
  type Role,
  WorkersDocument,
  type WorkersQuery,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';

export type Worker = WorkersQuery['workers']['nodes'][number];
export type ApiToken = NonNullable<CreateApiTokenMutation['createApiToken']['apiToken']>;

/** Every worker that the installation knows, also those that went silent. */
export async function workers(client: RoentgenClient): Promise<readonly Worker[]> {
  return (await client.execute(WorkersDocument, {})).workers.nodes;
}

/** Makes a token for the project; `token` is seen this once. Not repeated when the network fails: a second answer would not show it. */
export async function createToken(
  client: RoentgenClient,
  input: { readonly name: string; readonly role: Role; readonly expiresInHours?: number },
): Promise<ApiToken & { readonly token: string }> {
  const { createApiToken } = await client.execute(CreateApiTokenDocument, { input });
  return { ...accepted(createApiToken, 'apiToken'), token: accepted(createApiToken, 'token') };
}

/** Ends a token at once; revoking twice is revoking once. */
export async function revokeToken(client: RoentgenClient, tokenId: string): Promise<{ readonly id: string; readonly name: string }> {
  const { revokeApiToken } = await client.execute(RevokeApiTokenDocument, { input: { tokenId, idempotencyKey: randomUUID() } });
  return accepted(revokeApiToken, 'apiToken');
}
