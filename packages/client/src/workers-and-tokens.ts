import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import {
  CreateApiTokenDocument,
  type CreateApiTokenMutation,
  RevokeApiTokenDocument,
  type Role,
  DrainWorkerDocument,
  ReadmitWorkerDocument,
  type WorkerFieldsFragment,
  WorkersChangedDocument,
  type WorkersChangedSubscription,
  WorkersDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';

export type Worker = WorkerFieldsFragment;
export type WorkersChange = WorkersChangedSubscription['workersChanged'];
export type ApiToken = NonNullable<CreateApiTokenMutation['createApiToken']['apiToken']>;

/** Every worker that the installation knows, also those that went silent. */
export async function workers(client: RoentgenClient): Promise<readonly Worker[]> {
  return (await client.execute(WorkersDocument, {})).workers.nodes;
}

/** Gives a worker nothing more; what it trains goes on elsewhere, from a checkpoint that it saves first. Asking twice is asking once. */
export async function drainWorker(client: RoentgenClient, workerId: string): Promise<Worker> {
  const { drainWorker: payload } = await client.execute(DrainWorkerDocument, { input: { workerId, idempotencyKey: randomUUID() } });
  return accepted(payload, 'worker');
}

/** Gives work again to a worker that was drained, and to all of its name where that is set aside. Asking twice is asking once. */
export async function readmitWorker(client: RoentgenClient, workerId: string): Promise<Worker> {
  const { readmitWorker: payload } = await client.execute(ReadmitWorkerDocument, { input: { workerId, idempotencyKey: randomUUID() } });
  return accepted(payload, 'worker');
}

export interface WatchWorkersOptions {
  readonly onReconnect?: (reason: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * All workers heard within the last hour, then what changes of them, over as many connections as it takes: each begins with a snapshot, so that nothing
 * is missed in between. Never ends by itself.
 * @throws UnreachableError when the connection stays away
 */
export async function* watchWorkers(client: RoentgenClient, options: WatchWorkersOptions = {}): AsyncGenerator<WorkersChange, void, void> {
  for await (const { workersChanged } of client.subscribe(WorkersChangedDocument, {}, { ...options, resume: (variables) => variables }))
    yield workersChanged;
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
