import type { WorkerRecord, WorkerStore } from '@roentgen/database';
import type { Actor } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';

/** Ten missed heartbeats. */
const ONLINE_WITHIN_MS = 10_000;

export class WorkerService {
  constructor(private readonly workers: WorkerStore) {}

  async list(actor: Actor, args: PageArgs): Promise<Connection<WorkerRecord>> {
    const page = await this.workers.list(actor.projectId, ONLINE_WITHIN_MS, pageRequest(args));
    return toConnection(
      page,
      (worker) => worker,
      () => this.workers.count(),
    );
  }
}
