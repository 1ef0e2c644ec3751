import { z } from 'zod';
import { idSchema } from './ids.js';

/** What keeps a worker from being given a run. Decides who gets work, and tells who does not, and why. */
export const WORKER_OBSTACLES = [
  'STOPPING',
  'STARTING',
  'BUSY',
  'DRAINED',
  'INELIGIBLE',
  'SET_ASIDE',
  'REFUSED',
  'TAKEN',
  'TOO_SMALL',
] as const;
export type WorkerObstacleCode = (typeof WORKER_OBSTACLES)[number];

/** `message` goes on from the worker's name: `was drained.` */
export interface WorkerObstacle {
  readonly code: WorkerObstacleCode;
  readonly message: string;
}

/** What is known of a worker that has been heard lately. */
export interface WorkerFacts {
  /** As it last said: STARTING, IDLE, TRAINING, PREDICTING, STOPPING. */
  readonly state: string;
  /** By its own word, or by the rows. */
  readonly hasAttempt: boolean;
  /** Why it takes no work that computes; null: it does. */
  readonly ineligibleReason: string | null;
  readonly drained: boolean;
  /** Runs failed on it. */
  readonly setAside: boolean;
  /** It refused an offer a moment ago. */
  readonly rests: boolean;
}

/** What keeps a worker from being given any run; null: nothing. */
export function obstacleOf(worker: WorkerFacts): WorkerObstacle | null {
  if (worker.state === 'STOPPING') return { code: 'STOPPING', message: 'is shutting down.' };
  if (worker.state === 'STARTING') return { code: 'STARTING', message: 'is starting.' };
  if (worker.hasAttempt || worker.state === 'TRAINING') return { code: 'BUSY', message: 'trains another run.' };
  if (worker.state !== 'IDLE') return { code: 'BUSY', message: `is busy (${worker.state}).` };
  if (worker.drained) return { code: 'DRAINED', message: 'was drained: readmitWorker gives it work again.' };
  if (worker.ineligibleReason !== null) return { code: 'INELIGIBLE', message: `takes no work: ${worker.ineligibleReason}` };
  if (worker.setAside) return { code: 'SET_ASIDE', message: 'is set aside because runs failed on it: readmitWorker gives it work again.' };
  if (worker.rests) return { code: 'REFUSED', message: 'refused a run a moment ago.' };
  return null;
}

/**
 * Why a run does not go on.
 * - `NO_COORDINATOR`: nobody owns it. `NOT_LOOKED_AT`: its owner has not decided yet.
 * - `BACKING_OFF`: it failed, and is tried again at a set time.
 * - `BROKER_AWAY`, `NO_WORKERS`: no worker can be heard, or none is there. `NO_ELIGIBLE_WORKER`: none of those that are there may be given it.
 * - `WORKERS_BUSY`: those that may are busy. `NO_WORKER_FITS`: none has the memory.
 * - `STORE_FULL`, `STORE_AWAY`, `DATABASE_FULL`: its worker holds it where it is until there is room again, or the store answers.
 * - `PAUSED`: until somebody resumes it. `WORKER_LEAVING`: asked to pause or cancel, its worker has not left yet.
 */
export const WAIT_CODES = [
  'NO_COORDINATOR',
  'NOT_LOOKED_AT',
  'BACKING_OFF',
  'BROKER_AWAY',
  'NO_WORKERS',
  'NO_ELIGIBLE_WORKER',
  'WORKERS_BUSY',
  'NO_WORKER_FITS',
  'STORE_FULL',
  'STORE_AWAY',
  'DATABASE_FULL',
  'PAUSED',
  'WORKER_LEAVING',
] as const;
export type WaitCode = (typeof WAIT_CODES)[number];

/** What a worker can wait for while it holds a run. */
export const HELD_WAIT_CODES = ['STORE_FULL', 'STORE_AWAY', 'DATABASE_FULL'] as const satisfies readonly WaitCode[];

/** Why a worker does not go on with the run that it holds. The message names no hosts: users read it. */
export const HeldWaitSchema = z.object({ code: z.enum(HELD_WAIT_CODES), message: z.string().max(1_000) });
export type HeldWait = z.infer<typeof HeldWaitSchema>;

/** Why a coordinator gave a queued run to nobody, or why its worker does not go on with it, as it is stored with the run; keys in this order. */
export const RunWaitSchema = z.object({
  code: z.enum(WAIT_CODES),
  message: z.string(),
  /** What keeps each worker from it; the first ones where there are many. */
  workers: z.array(z.object({ workerId: idSchema('wkr'), name: z.string(), code: z.enum(WORKER_OBSTACLES), message: z.string() })),
});
export type RunWait = z.infer<typeof RunWaitSchema>;
