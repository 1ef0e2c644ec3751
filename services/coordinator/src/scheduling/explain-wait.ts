import {
  imagesThatFit,
  trainingMemoryBytes,
  type RequestedRecipe,
  type RunWait,
  type WaitCode,
  type WorkerId,
  type WorkerMemory,
  type WorkerObstacle,
} from '@roentgen/domain';
import type { KnownWorker } from './worker-registry.js';

/** Named in a wait; the message says how many more there are. */
const MOST_WORKERS = 20;

/** Why a run was given to nobody: what the scheduler found of each worker, as it is told to users. */
export interface Obstacles {
  readonly workers: readonly KnownWorker[];
  /** What keeps a worker from any run now; absent: nothing. */
  readonly general: ReadonlyMap<WorkerId, WorkerObstacle>;
  /** What keeps a worker from this run. */
  readonly own: (worker: KnownWorker) => WorkerObstacle | null;
  readonly brokerAnswers: boolean;
}

/** The wait of a run that none of the workers was given. */
export function waitOf({ workers, general, own, brokerAnswers }: Obstacles): RunWait {
  if (workers.length === 0) {
    return brokerAnswers
      ? { code: 'NO_WORKERS', message: 'No worker is running, or none reaches the broker.', workers: [] }
      : {
          code: 'BROKER_AWAY',
          message: 'The broker does not answer, so no worker can be heard. It goes on once the broker is back.',
          workers: [],
        };
  }
  // What is true of the run lasts longer than what is true of the moment.
  const found = workers.map((worker) => ({ worker, obstacle: own(worker) ?? general.get(worker.workerId) ?? null }));
  const waits = found.some(({ obstacle }) => obstacle?.code === 'BUSY' || obstacle?.code === 'TAKEN');
  return toWait(
    waits ? 'WORKERS_BUSY' : 'NO_ELIGIBLE_WORKER',
    waits ? 'All workers that it can go to are busy' : 'No worker can be given it',
    found,
  );
}

/** The wait of a run for which no worker has the memory. */
export function tooLargeWait(message: string, { workers, general, own }: Obstacles): RunWait {
  const found = workers.map((worker) => ({ worker, obstacle: own(worker) ?? general.get(worker.workerId) ?? null }));
  return { ...toWait('NO_WORKER_FITS', '', found), message };
}

/** Whether the run's micro-batches fit into a worker, as an obstacle where they do not. */
export function tooSmall(recipe: RequestedRecipe, microBatchSize: number, memory: WorkerMemory): WorkerObstacle | null {
  if (imagesThatFit(recipe, memory) >= microBatchSize) return null;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const needed = trainingMemoryBytes(recipe, microBatchSize, memory.memoryScale);
  return {
    code: 'TOO_SMALL',
    message: `may use ${gib(memory.memoryBudgetBytes ?? 0)}, and micro-batches of ${microBatchSize} need ${gib(needed)}.`,
  };
}

function toWait(code: WaitCode, what: string, found: readonly { worker: KnownWorker; obstacle: WorkerObstacle | null }[]): RunWait {
  const workers = found.flatMap(({ worker: { workerId, name }, obstacle }) =>
    obstacle === null ? [] : [{ workerId, name, code: obstacle.code, message: obstacle.message }],
  );
  const named = workers.slice(0, MOST_WORKERS);
  const more = workers.length > named.length ? `; and ${workers.length - named.length} more` : '';
  const each = named.map(({ name, message }) => `${name} ${message.replace(/\.$/, '')}`).join('; ');
  return { code, message: `${what}: ${each}${more}.`, workers: named };
}
