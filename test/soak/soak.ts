import { importDataset, samples, startTrainingRun, trainingRun, watchRun } from '@roentgen/client';
import type { Database } from '@roentgen/database';
import type { StackConnections } from '@roentgen/local-stack';
import { computeProcessOf, footprintOf } from '../testkit/faults/footprint.js';
import type { Sample } from '../testkit/faults/flatness.js';
import { forgottenConnections, jetstreamConsumers } from '../testkit/faults/shared-footprint.js';
import { importFiles, SPLIT } from '../testkit/import-files.js';
import { syntheticDataset } from '../testkit/seed.js';
import type { System } from '../testkit/start-system.js';
import type { SoakOptions } from './arguments.js';
import { PROCESSES, type Observations, type ProcessName, type SharedSample } from './judge.js';
import { Subscribers } from './subscribers.js';

const BATCH = 16;
const IMAGE_SIZE_PX = 64;
const TRAINING_IMAGES = 800;
const IMPORTED_IMAGES = 30;
const SAMPLES = 100;
const CHECKPOINTS = 20;

export interface SoakScene {
  readonly system: System;
  readonly stack: StackConnections;
  readonly database: Database;
  readonly note: (text: string) => void;
}

export interface SoakResult extends Observations {
  readonly status: string;
  readonly steps: number;
  readonly visits: number;
  readonly events: number;
  readonly gaps: readonly string[];
  readonly failures: readonly string[];
  readonly imported: number;
}

/** One run with subscribers that come and go and datasets that come in, looked at from outside all the while. */
export async function soak(scene: SoakScene, options: SoakOptions): Promise<SoakResult> {
  const { system, note } = scene;
  const { client } = system;
  const pids = pidsOf(system);
  const runId = await startRun(scene, options.steps);
  const before = footprintOf(pids.gateway).handles;
  let latest = 0;
  const subscribers = new Subscribers(client, runId, () => latest);
  const imports = new Imports(scene, options);
  const looks = new Looks(scene, pids, options.steps);
  for await (const event of watchRun(client, runId)) {
    latest = event.sequence;
    if (event.kind === 'RUN_STARTED') subscribers.start(options.subscribers);
    if (event.kind !== 'STEP_COMMITTED' || event.step == null) continue;
    imports.at(event.step);
    if (await looks.at(event.step)) note(`step ${event.step}: ${subscribers.visits} visits, ${imports.done} imports`);
  }
  await imports.settled();
  await subscribers.stop();
  // The gateway hears of a socket's end a moment after the client has let go of it: the next answer comes after that.
  const { status, committedStep: steps } = await trainingRun(client, runId);
  const { visits, events, gaps, failures } = subscribers;
  return {
    ...{ status, steps, visits, events, gaps, failures: [...failures, ...imports.failures], imported: imports.done },
    ...{ processes: looks.processes, shared: looks.shared, gatewayHandles: { before, after: footprintOf(pids.gateway).handles } },
  };
}

type Pids = Readonly<Record<ProcessName, number>>;

function pidsOf({ running }: System): Pids {
  const [worker, coordinator, gateway] = (['worker', 'coordinator', 'gateway'] as const).map((role) => running(role)[0]);
  if (worker?.pid === undefined || coordinator?.pid === undefined || gateway?.pid === undefined) throw new Error('a process is not there');
  return { worker: worker.pid, compute: computeProcessOf(worker), coordinator: coordinator.pid, gateway: gateway.pid };
}

async function startRun({ system: { client } }: SoakScene, steps: number): Promise<string> {
  const images = await syntheticDataset({ images: TRAINING_IMAGES, patients: TRAINING_IMAGES / 4, sizePx: IMAGE_SIZE_PX });
  const { datasetVersionId } = await importDataset(client, { name: 'soak', files: importFiles(images), split: SPLIT });
  const stepsPerEpoch = Math.floor((await samples(client, datasetVersionId, 'TRAIN')).length / BATCH);
  const epochs = Math.ceil(steps / stepsPerEpoch);
  const recipe = {
    ...{ variant: 'LITE0', imageSizePx: IMAGE_SIZE_PX, epochs, seed: 3, globalBatchSize: BATCH, microBatchSize: BATCH },
    checkpointEveryEpochs: Math.max(1, Math.round(epochs / CHECKPOINTS)),
  };
  return (await startTrainingRun(client, { datasetVersionId, recipe })).id;
}

/** Datasets of images that nobody has seen before, one after the other. */
class Imports {
  done = 0;
  readonly failures: string[] = [];
  private begun = 0;
  private turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly scene: SoakScene,
    private readonly options: SoakOptions,
  ) {}

  at(step: number): void {
    const { imports, steps } = this.options;
    while (this.begun < imports && step >= ((this.begun + 1) * steps) / (imports + 1)) {
      const seed = 100 + this.begun++;
      this.turn = this.turn.then(() => this.import(seed)).catch((thrown: unknown) => void this.failures.push(String(thrown)));
    }
  }

  settled(): Promise<void> {
    return this.turn;
  }

  private async import(seed: number): Promise<void> {
    const images = await syntheticDataset({ images: IMPORTED_IMAGES, patients: IMPORTED_IMAGES / 2, sizePx: IMAGE_SIZE_PX, seed });
    await importDataset(this.scene.system.client, { name: `soak-${seed}`, files: importFiles(images), split: SPLIT });
    this.done += 1;
  }
}

/** What the processes hold, at regular steps. */
class Looks {
  readonly processes: Readonly<Record<ProcessName, Sample[]>> = { worker: [], compute: [], coordinator: [], gateway: [] };
  readonly shared: SharedSample[] = [];

  constructor(
    private readonly scene: SoakScene,
    private readonly pids: Pids,
    private readonly steps: number,
  ) {}

  /** @returns whether this step was looked at, with what is shared */
  async at(step: number): Promise<boolean> {
    const every = Math.max(1, Math.floor(this.steps / SAMPLES));
    if (step % every !== 0) return false;
    for (const name of PROCESSES) this.processes[name].push({ step, ...footprintOf(this.pids[name]) });
    if (step % (every * 5) !== 0) return false;
    const { stack, database } = this.scene;
    const consumers = await jetstreamConsumers(stack.nats);
    this.shared.push({ step, consumers, forgottenConnections: await forgottenConnections(database) });
    return true;
  }
}
