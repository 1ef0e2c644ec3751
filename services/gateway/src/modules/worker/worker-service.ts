import type { WorkerStore } from '@roentgen/database';
import type { Actor } from '@roentgen/domain';
import type { WorkerType } from './worker.type.js';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

/** Ten missed heartbeats. */
export const ONLINE_WITHIN_MS = 10_000;

export class WorkerService {
  constructor(private readonly workers: WorkerStore) {}

  async list(actor: Actor, args: PageArgs): Promise<Connection<WorkerType>> {
    const page = await this.workers.list(actor.projectId, ONLINE_WITHIN_MS, pageRequest(args));
    return toConnection(
      page,
      ({ selftest, ...worker }) => ({ ...worker, selftest: selftest && { ...selftest, imagesPerSecond: selftest.speeds } }),
      () => this.workers.count(),
    );
  }
}
