import type { WorkerExclusionStore, WorkerRecord, WorkerStore } from '@roentgen/database';
import { NotFoundError, parseId, type Actor, type WorkerId } from '@roentgen/domain';
import { pageRequest, toConnection, type Connection, type PageArgs } from '../../graphql/connection.js';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { Repeatable } from '../repeatable.js';
import type { DrainWorkerInput, ReadmitWorkerInput } from './worker.input.js';
import type { DrainWorkerPayload, ReadmitWorkerPayload, WorkerType } from './worker.type.js';

/** For how long a worker that fell silent is told of to those who follow them. */
export const TOLD_FOR_MS = 3_600_000;
/** Ten missed heartbeats. */
export const ONLINE_WITHIN_MS = 10_000;

export interface WorkerParts {
  readonly workers: WorkerStore;
  readonly exclusions: WorkerExclusionStore;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
}

export class WorkerService {
  constructor(private readonly parts: WorkerParts) {}

  async list(actor: Actor, args: PageArgs): Promise<Connection<WorkerType>> {
    const { workers } = this.parts;
    const page = await workers.list(actor.projectId, ONLINE_WITHIN_MS, pageRequest(args));
    return toConnection(page, toType, () => workers.count());
  }

  /** It gets nothing more; what it trains goes on elsewhere from a checkpoint that it saves first. */
  drain(actor: Actor, input: DrainWorkerInput): Promise<DrainWorkerPayload> {
    return answer(async () => {
      const workerId = parseId('wkr', input.workerId, 'workerId');
      await this.parts.repeatable.once(actor, 'drain_worker', input, async (tx) => {
        if ((await this.parts.workers.lock(tx, workerId)) === null) throw unknownWorker(workerId);
        await this.parts.workers.setDrained(tx, workerId, true);
        return workerId;
      });
      this.parts.announcer.wake('run-control');
      return { worker: await this.read(actor, workerId) };
    });
  }

  /** Work again for a worker that was drained, or set aside; the latter holds for all workers of its name. */
  readmit(actor: Actor, input: ReadmitWorkerInput): Promise<ReadmitWorkerPayload> {
    return answer(async () => {
      const workerId = parseId('wkr', input.workerId, 'workerId');
      await this.parts.repeatable.once(actor, 'readmit_worker', input, async (tx) => {
        const name = await this.parts.workers.lock(tx, workerId);
        if (name === null) throw unknownWorker(workerId);
        await this.parts.workers.setDrained(tx, workerId, false);
        await this.parts.exclusions.readmit(tx, name);
        return workerId;
      });
      this.parts.announcer.wake('run-control');
      return { worker: await this.read(actor, workerId) };
    });
  }

  private async read(actor: Actor, workerId: WorkerId): Promise<WorkerType> {
    const worker = await this.parts.workers.find(actor.projectId, workerId, ONLINE_WITHIN_MS);
    if (worker === null) throw unknownWorker(workerId);
    return toType(worker);
  }
}

/** A worker as the API shows it. */
export function toType({ selftest, ...worker }: WorkerRecord): WorkerType {
  return { ...worker, selftest: selftest && { ...selftest, imagesPerSecond: selftest.speeds } };
}

function unknownWorker(workerId: WorkerId): NotFoundError {
  return new NotFoundError(`There is no worker ${workerId}. The workers query lists those that are there.`, { workerId });
}
