import { newId, parseTrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { silentLogger } from '@roentgen/logger';
import { decodeSafetensors, loadBinding, viewEntry } from '@roentgen/tensorflow';
import { CheckpointDescriptionSchema } from '@roentgen/training';
import { encodeWeights, modelConventions, weightFacts } from '@roentgen/weights';
import { expect, test } from 'vitest';
import type { AttemptEvent, AttemptWork, NetworkFunctions, NewCheckpoint, Remote } from '../rpc.js';
import { SharedControl } from '../shared-control.js';
import { AttemptRunner } from './attempt-runner.js';

const SAMPLES = 4;
const SIZE_PX = 32;

/** A networking thread that has the images at hand and keeps what it is given. */
class RecordingNetwork {
  readonly events: AttemptEvent[] = [];
  readonly checkpoints: NewCheckpoint[] = [];
  /** How far the counter was when the first event of a kind came. */
  readonly progressAt = new Map<AttemptEvent['kind'], number>();

  constructor(
    private readonly weights: Uint8Array | null,
    private readonly control: SharedControl,
  ) {}

  get functions(): Remote<NetworkFunctions> {
    const microBatch = (of: number, n: number) => ({
      images: Uint8Array.from({ length: n * SIZE_PX ** 2 * 3 }, (_, i) => (i * 31 + of * 17) % 256),
      labels: Int32Array.from({ length: n }, (_, i) => i % 2),
      weights: new Float32Array(n).fill(1),
      sampleIds: Array.from({ length: n }, (_, i) => `${of}-${i}`),
    });
    return {
      start: () => Promise.resolve({ workerId: newId('wkr'), healthUrl: null }),
      stop: () => Promise.resolve(),
      readResumeCheckpoint: () => Promise.resolve(null),
      readInitialWeights: () => Promise.resolve(this.weights && { tensors: this.weights }),
      openInput: () => Promise.resolve({ trainSamples: SAMPLES, validationSamples: 2 }),
      trainingBatch: (step) => Promise.resolve({ slot: 0, microBatches: [microBatch(step, 1), microBatch(step + 9, 1)] }),
      evaluationBatch: (index) => Promise.resolve({ slot: 0, microBatches: [microBatch(index, 1)] }),
      releaseSlot: () => Promise.resolve(),
      saveCheckpoint: (checkpoint) => {
        this.checkpoints.push(checkpoint);
        return Promise.resolve({ objectKey: 'k' });
      },
      report: (event) => {
        this.events.push(event);
        if (!this.progressAt.has(event.kind)) this.progressAt.set(event.kind, this.control.progress);
        return Promise.resolve();
      },
    };
  }
}

test('a run of the classifier alone ends with the very body that it started from, under the conventions of its weights', async () => {
  const spec = efficientNetSpec('B0', 7);
  const model = initializeModel(spec, 42);
  const tensors = new Map([
    ...spec.parameters.entries.map((entry) => [entry.name, { data: viewEntry(model.weights, entry) }] as const),
    ...spec.statistics.entries.map((entry) => [entry.name, { data: viewEntry(model.statistics, entry) }] as const),
  ]);
  const facts = weightFacts('torchvision', 'B0');
  const stored = encodeWeights({ source: 'torchvision', facts, tensors }, { variant: 'B0', classes: 7, sourceSha256: 'a'.repeat(64) });

  const recipe = parseTrainingRecipe({
    ...{ variant: 'B0', imageSizePx: SIZE_PX, globalBatchSize: 2, microBatchSize: 1, epochs: 1, seed: 1, batchNorm: 'frozen' },
    freeze: { until: 'head', epochs: 1 },
  });
  const projectId = newId('prj');
  const work: AttemptWork = {
    ...{ runId: newId('run'), attemptId: newId('att'), generation: 1, token: 't', projectId, attemptNumber: 1, recipe, resumeFrom: null },
    dataset: {
      datasetVersionId: newId('dsv'),
      projectId,
      manifestKey: 'm',
      manifestSha256: 'b'.repeat(64),
      classes: ['normal', 'pneumonia'],
    },
    initialWeights: {
      weightSetId: newId('wts'),
      name: 'b0-torchvision',
      objectKey: 'w',
      sha256: stored.sha256,
      bytes: stored.bytes.length,
    },
  };
  const control = new SharedControl();
  const network = new RecordingNetwork(stored.bytes, control);
  await new AttemptRunner({ binding: loadBinding(), network: network.functions, control, logger: silentLogger }).run(work);

  expect(network.events.at(-1), JSON.stringify(network.events.at(-1))).toMatchObject({ kind: 'RUN_SUCCEEDED' });
  expect(network.events.find(({ kind }) => kind === 'RUN_STARTED')?.message).toContain(
    '(B0 of torchvision); the classifier starts fresh for 2 classes',
  );
  const [checkpoint] = network.checkpoints;
  expect(CheckpointDescriptionSchema.parse(checkpoint?.description).conventions).toEqual(modelConventions(facts));
  expect(modelConventions(facts)).toMatchObject({ padding: 'symmetric', batchNormEpsilon: 1e-5 });
  const ended = decodeSafetensors(checkpoint?.tensors ?? new Uint8Array());
  for (const [name, { data }] of tensors) {
    if (name.startsWith('predictions/')) continue;
    expect(Buffer.from(ended.get(name)!.data.buffer).equals(Buffer.from(Float32Array.from(data).buffer)), name).toBe(true);
  }
  expect(ended.get('predictions/kernel')?.shape).toEqual([1280, 2]);

  // Coordinators tell by it that this thread does not hang: stages of the preparation count, and each micro-batch of a step.
  const [prepared, stepped] = [network.progressAt.get('RUN_STARTED')!, network.progressAt.get('STEP_COMMITTED')!];
  expect(prepared).toBeGreaterThanOrEqual(3);
  expect(stepped - prepared).toBeGreaterThanOrEqual(2 + 1);
});
