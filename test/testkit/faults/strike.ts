import type { Service } from '@roentgen/cli';
import type { TrainingRecipeInput } from '@roentgen/client';
import { expect, vi } from 'vitest';
import { EVENTUALLY, signalAll, type FaultSystem } from './fault-system.js';
import type { HoldOptions } from './store-gate.js';
import type { WatchedRun } from './watched-run.js';

/** Where an attempt is when it happens, in the order of an attempt. */
export const PHASES = ['assigned', 'loading', 'step', 'evaluation', 'checkpoint upload', 'finishing'] as const;
export type Phase = (typeof PHASES)[number];

/** SIGSTOP is followed by SIGCONT, once everybody else has taken the process for dead. */
export const FAULTS = ['SIGKILL', 'SIGSTOP', 'SIGTERM'] as const;
export type Fault = (typeof FAULTS)[number];

export const TARGETS = ['worker', 'coordinator', 'gateway'] as const;
export type Target = (typeof TARGETS)[number];

export interface Strike {
  readonly target: Target;
  readonly fault: Fault;
  readonly phase: Phase;
}

/** Two epochs of several steps, each with its evaluation and its checkpoint. */
export const RECIPE = {
  variant: 'LITE0',
  imageSizePx: 32,
  epochs: 2,
  globalBatchSize: 4,
  microBatchSize: 4,
  seed: 3,
} as const satisfies TrainingRecipeInput;

/** The request of the worker by which a phase is known; a step is known by its event. */
function holdOf(phase: Phase, system: FaultSystem): HoldOptions | null {
  switch (phase) {
    case 'assigned':
      // The first thing that it asks for; nothing is loaded.
      return { matches: ({ method, key }) => method === 'GET' && key.includes('/manifests/') };
    case 'loading':
      return { matches: ({ method, key }) => method === 'GET' && key.includes('/objects/') };
    case 'step':
      return null;
    case 'evaluation':
      return { matches: ({ method, key }) => method === 'GET' && system.isValidationImage(key) };
    case 'checkpoint upload':
      // In the middle: a part of it is there.
      return { matches: ({ method, key, partNumber }) => method === 'PUT' && key.endsWith('.safetensors') && partNumber === 2 };
    case 'finishing':
      // All of the last checkpoint is stored, and nobody but the store knows.
      return { matches: ({ method, key }) => method === 'PUT' && key.endsWith('.json'), nth: RECIPE.epochs, when: 'after' };
  }
}

/** Starts a run and returns when it has come to the phase; its worker goes on when `release` is called. */
export async function trainUntil(system: FaultSystem, phase: Phase): Promise<{ run: WatchedRun; release: () => void }> {
  const hold = holdOf(phase, system);
  const held = hold === null ? null : system.gate.hold(hold);
  const run = await system.train(RECIPE);
  await run.until('a worker', () => run.count('ATTEMPT_ASSIGNED') > 0);
  if (held !== null) return { run, release: (await within(held, `${phase} of ${run.id}`, run)).release };
  await run.until('step 2', (events) => events.some((event) => event.kind === 'STEP_COMMITTED' && event.step === 2));
  return { run, release: () => undefined };
}

/** Trains a run, with one fault on the way, to its end; the system is then as many processes as before. */
export async function trainThrough(system: FaultSystem, strike: Strike): Promise<{ run: WatchedRun; struck: Service }> {
  const { run, release } = await trainUntil(system, strike.phase);
  const struck = await targetOf(system, strike.target, run);
  const restored = inflict(system, strike, struck, run, release);
  await Promise.all([restored, run.ended()]);
  system.gate.open();
  return { run, struck };
}

async function targetOf(system: FaultSystem, target: Target, run: WatchedRun): Promise<Service> {
  if (target === 'worker') return system.workerOf(run);
  if (target === 'gateway') return system.system.running('gateway')[0]!;
  return await vi.waitFor(async () => {
    const owner = await system.ownerOf(run);
    if (owner === null) throw new Error(`nobody owns ${run.id}`);
    return owner;
  }, EVENTUALLY);
}

/** Does it, lets the work go on, and brings back what was taken away. */
async function inflict(
  system: FaultSystem,
  { target, fault }: Strike,
  struck: Service,
  run: WatchedRun,
  release: () => void,
): Promise<void> {
  if (fault === 'SIGSTOP') {
    signalAll(struck, 'SIGSTOP');
    release();
    await takenForDead(system, target, struck, run);
    signalAll(struck, 'SIGCONT');
    if (target === 'worker') await system.idle(struck.name);
    return;
  }
  if (fault === 'SIGKILL') signalAll(struck, 'SIGKILL');
  else struck.kill('SIGTERM');
  release();
  const how = await struck.ended;
  const expected = fault === 'SIGKILL' ? 'ended with SIGKILL' : 'ended with exit code 0';
  if (how !== expected) throw new Error(`${struck.name} ${how} after ${fault}, not as expected: ${expected}`);
  const replacement = await system.system.addProcess(target);
  if (target === 'worker') await system.idle(replacement.name);
}

/** Long enough for its leases to run out. */
async function takenForDead(system: FaultSystem, target: Target, struck: Service, run: WatchedRun): Promise<void> {
  switch (target) {
    case 'worker':
      return await run.until('a second attempt that computes', (events) => {
        const lost = events.findIndex((event) => event.kind === 'ATTEMPT_LOST');
        return lost !== -1 && events.slice(lost).some((event) => event.kind === 'RUN_STARTED');
      });
    case 'coordinator':
      return await vi.waitFor(async () => {
        const owner = await system.ownerOf(run);
        if (owner?.name === struck.name) throw new Error(`${struck.name} still owns ${run.id}`);
      }, EVENTUALLY);
    case 'gateway':
      // All the rest of the run happens without it, and its subscribers have to hear of it later.
      await vi.waitFor(async () => {
        const status = await system.statusOf(run);
        if (status !== 'SUCCEEDED') throw new Error(`${run.id} is ${status}`);
      }, EVENTUALLY);
      expect(run.count('RUN_SUCCEEDED'), `told by a gateway that is stopped; ${run.story()}`).toBe(0);
      await expect(fetch(system.system.url, { signal: AbortSignal.timeout(SILENCE_MS) }), 'an answer').rejects.toThrow(/timeout/);
  }
}

/** A gateway that runs answers in a small part of it. */
const SILENCE_MS = 1_000;

const REACHED_WITHIN_MS = 120_000;

/** @throws Error with what was seen instead */
async function within<T>(awaited: Promise<T>, what: string, run: WatchedRun): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const fail = () => reject(new Error(`${what} was not reached within ${REACHED_WITHIN_MS} ms. Seen: ${run.story()}`));
    timer = setTimeout(fail, REACHED_WITHIN_MS);
  });
  return await Promise.race([awaited, tooLate]).finally(() => clearTimeout(timer));
}

/** That the run noticed: a fault that changed nothing proves nothing. A gateway that was stopped was seen to be silent while it was. */
export async function expectFelt(system: FaultSystem, run: WatchedRun, struck: Service, { target, fault, phase }: Strike): Promise<void> {
  switch (target) {
    case 'worker':
      if (fault !== 'SIGTERM') expect(run.count('ATTEMPT_LOST'), run.story()).toBe(1);
      // One that has only the end to tell tells it before it leaves.
      expect(run.count('ATTEMPT_ASSIGNED'), run.story()).toBe(fault === 'SIGTERM' && phase === 'finishing' ? 1 : 2);
      return;
    case 'coordinator': {
      const generation = await system.generationOf(run);
      // At the end the run may be over before its lease is: whoever is there writes the end down.
      if (phase !== 'finishing') expect(generation, run.story()).toBeGreaterThan(1);
      // One that was stopped may do so when it is back, after another has owned the run.
      const mayWrite = fault === 'SIGTERM' || (fault === 'SIGSTOP' && generation > 1);
      return await expectFinishedOnce(system, run, mayWrite ? null : struck.name);
    }
    case 'gateway':
      if (fault !== 'SIGSTOP') expect(run.reconnects.length).toBeGreaterThanOrEqual(1);
  }
}

/** One coordinator wrote the end of the run, as its log says, and not this one. */
async function expectFinishedOnce(system: FaultSystem, run: WatchedRun, notBy: string | null): Promise<void> {
  await vi.waitFor(() => {
    const finishedBy = system.system.started('coordinator').flatMap(({ name }) =>
      system.system
        .logOf(name)
        .filter((line) => line['msg'] === 'run finished' && line['runId'] === run.id)
        .map(() => name),
    );
    expect(finishedBy).toHaveLength(1);
    expect(finishedBy).not.toContain(notBy);
  }, EVENTUALLY);
}
