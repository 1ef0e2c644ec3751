import type { Service } from '@roentgen/cli';
import {
  downloadCsv,
  importDataset,
  metricSeries,
  predict,
  type RoentgenClient,
  samples,
  startTrainingRun,
  trainingRun,
  type TrainingRecipeInput,
  workers,
} from '@roentgen/client';
import { Database } from '@roentgen/database';
import { parseId, uuidOf } from '@roentgen/domain';
import type { StackConnections } from '@roentgen/local-stack';
import { silentLogger } from '@roentgen/logger';
import type { ServiceRole } from '@roentgen/protocol';
import { vi } from 'vitest';
import { z } from 'zod';
import { importFiles, SPLIT } from '../import-files.js';
import { syntheticDataset } from '../seed.js';
import { startSystem, type System } from '../start-system.js';
import { StoreGate } from './store-gate.js';
import { WatchedRun } from './watched-run.js';

export interface FaultSystemOptions {
  readonly workers?: number;
  readonly coordinators?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly images?: number;
  readonly sizePx?: number;
  /** Who reaches the store through the gate; default: workers alone. */
  readonly gated?: readonly ServiceRole[];
}

/** The shortest there is. */
export const JANITOR_GRACE_MS = 60_000;

/**
 * Silence and leases count in seconds here. One thread for one operation at a time: the bits of a run depend on it. No cache of images, so that each step and each
 * evaluation asks the store. Nobody is set aside: the same worker is struck again and again. The janitor comes
 * once by itself, which removes no checkpoint, and when it is called.
 */
const ENVIRONMENT = {
  COORDINATOR_LEASE_MS: '2000',
  COORDINATOR_WORKER_LOST_MS: '3000',
  COORDINATOR_WORKER_FAILURES: '20',
  COORDINATOR_JANITOR_INTERVAL_MS: '2592000000',
  COORDINATOR_KEEP_LAST_CHECKPOINTS: '1000000',
  COORDINATOR_JANITOR_GRACE_MS: String(JANITOR_GRACE_MS),
  WORKER_INTRA_OP_THREADS: '1',
  WORKER_INTER_OP_THREADS: '1',
  WORKER_CACHE_BYTES: '0',
};

/** What a run came to, as far as it must be the same whatever happened on the way. */
export interface Outcome {
  readonly status: string;
  /** `epoch step name value`, all but speeds. */
  readonly points: readonly string[];
  /** SHA-256 of all state (weights, optimiser, statistics) at each checkpoint, by step. */
  readonly digests: ReadonlyMap<number, string>;
  /** Predictions for the validation split, without the id of the model. */
  readonly csv: string;
}

const RunRow = z.object({ status: z.string(), generation: z.number(), lease_holder: z.string().nullable() });
const Checkpoint = z.object({ step: z.number(), sha256: z.string() });
/** For what comes by itself within seconds, on a machine that may be busy. */
export const EVENTUALLY = { timeout: 60_000, interval: 100 };

/** A whole Roentgen of real processes with a small dataset, whose workers reach the store through a gate. */
export class FaultSystem {
  private constructor(
    readonly system: System,
    readonly gate: StoreGate,
    readonly database: Database,
    readonly datasetVersionId: string,
    /** Keys of the images that an evaluation reads. */
    private readonly validationImages: ReadonlySet<string>,
  ) {}

  static async start(stack: StackConnections, options: FaultSystemOptions = {}): Promise<FaultSystem> {
    const { images = 48, sizePx = 32, gated = ['worker'], environment, ...counts } = options;
    const gate = await StoreGate.open(stack.store.endpoint);
    const system = await startSystem(stack, {
      ...{ workers: 2, coordinators: 2, ...counts },
      environment: { ...ENVIRONMENT, ...environment },
      settings: Object.fromEntries(gated.map((role) => [role, { S3_ENDPOINT: gate.endpoint }])),
    });
    const database = await Database.connect({ ...system.parts.postgres, poolSize: 2, startupTimeoutMs: 10_000 }, silentLogger);
    const files = importFiles(await syntheticDataset({ images, patients: images / 2, sizePx }));
    const { datasetVersionId } = await importDataset(system.client, { name: 'chests', files, split: SPLIT });
    const validation = await samples(system.client, datasetVersionId, 'VAL');
    return new FaultSystem(system, gate, database, datasetVersionId, new Set(validation.map(({ sha256 }) => sha256)));
  }

  get client(): RoentgenClient {
    return this.system.client;
  }

  async close(): Promise<void> {
    this.gate.open();
    // One that is stopped does not hear that it should end.
    for (const role of ['worker', 'coordinator', 'gateway'] as const)
      for (const service of this.system.running(role)) signalAll(service, 'SIGCONT');
    await this.system.close();
    await this.database.close();
    await this.gate.close();
  }

  async train(recipe: TrainingRecipeInput): Promise<WatchedRun> {
    const { id } = await startTrainingRun(this.client, { datasetVersionId: this.datasetVersionId, recipe });
    return new WatchedRun(this.client, id);
  }

  isValidationImage(key: string): boolean {
    return this.validationImages.has(key.split('/').at(-1) ?? '');
  }

  /** The process that works on the run; its supervisor. */
  workerOf(run: WatchedRun): Service {
    return named(this.system.running('worker'), run.workerName);
  }

  /** The process that owns the run; null where nobody does. */
  async ownerOf(run: WatchedRun): Promise<Service | null> {
    const { lease_holder: holder } = await this.rowOf(run);
    if (holder === null) return null;
    return this.system.running('coordinator').find((service) => JSON.stringify(this.system.logOf(service.name)).includes(holder)) ?? null;
  }

  /** Resolves when the worker, as the API tells it, is there and holds nothing. */
  async idle(name: string): Promise<void> {
    await vi.waitFor(async () => {
      const worker = (await workers(this.client)).find((candidate) => candidate.name === name && candidate.online);
      if (worker?.state !== 'IDLE') throw new Error(`${name} is ${worker?.state ?? 'not there'}`);
    }, EVENTUALLY);
  }

  /** What the run came to; predicts with its model. */
  async outcome(run: WatchedRun): Promise<Outcome> {
    const { status, model } = await trainingRun(this.client, run.id);
    if (model == null) throw new Error(`${run.id} is ${status} and has no model. Seen: ${run.story()}`);
    const points = (await metricSeries(this.client, run.id))
      .filter(({ name }) => !name.startsWith('perf/'))
      .map(({ epoch, step, name, value }) => `${epoch} ${step} ${name} ${value}`);
    const job = await predict(this.client, { modelId: model.id, datasetVersionId: this.datasetVersionId, split: 'VAL' });
    if (job.status !== 'SUCCEEDED') throw new Error(`prediction ${job.id} is ${job.status}: ${job.statusMessage}`);
    const csv = (await downloadCsv(this.client, job.id)).replaceAll(model.id, 'MODEL');
    return { status, points, digests: await this.digests(run), csv };
  }

  /** By the rows: the gateway may be away. */
  async statusOf(run: WatchedRun): Promise<string> {
    return (await this.rowOf(run)).status;
  }

  /** How many coordinators owned the run, one after the other. */
  async generationOf(run: WatchedRun): Promise<number> {
    return (await this.rowOf(run)).generation;
  }

  async digests(run: WatchedRun): Promise<ReadonlyMap<number, string>> {
    const rows = await this.database.query(
      'digests',
      `select step, encode(sha256, 'hex') as sha256 from checkpoints where run_id = $1 order by step`,
      [uuidOf(parseId('run', run.id))],
    );
    return new Map(
      Checkpoint.array()
        .parse(rows)
        .map(({ step, sha256 }) => [step, sha256]),
    );
  }

  private async rowOf(run: WatchedRun): Promise<z.infer<typeof RunRow>> {
    const rows = await this.database.query('run', 'select status, generation, lease_holder from training_runs where id = $1', [
      uuidOf(parseId('run', run.id)),
    ]);
    return z.tuple([RunRow]).parse(rows)[0];
  }
}

/** To the process and those that it started; `SIGTERM` is for the process alone, as a container's runtime sends it. */
export function signalAll(service: Service, signal: NodeJS.Signals): void {
  if (service.pid === undefined) return;
  process.kill(-service.pid, signal);
}

export function named(services: readonly Service[], name: string): Service {
  const found = services.find((service) => service.name === name);
  if (found === undefined) throw new Error(`${name} is none of the running ${services.map((service) => service.name).join(', ')}`);
  return found;
}
