import type { DatasetRef, ManifestEntry, ObjectStore, TrainingRecipe } from '@roentgen/domain';
import { parseManifest } from '@roentgen/datasets';
import { TrainingPlan, assembleMicroBatch, classWeights } from '@roentgen/training';
import { DatasetMismatchError } from '../errors.js';
import type { InputSummary, SlotBatch, SlotRingName } from '../rpc.js';
import { BatchPrefetcher } from './batch-prefetcher.js';
import type { ImageSource, StoredImage } from './image-source.js';
import { downloadVerified } from './objects.js';
import type { PatientOptions } from './patience.js';
import { SlotRing, type Slot } from './slot-ring.js';

export interface FeedOptions {
  readonly store: Pick<ObjectStore, 'get'>;
  readonly images: Pick<ImageSource, 'pixels' | 'retain'>;
  readonly dataset: DatasetRef;
  readonly recipe: TrainingRecipe;
  readonly prefetchBatches: number;
  readonly patience: PatientOptions;
}

interface Sample extends StoredImage {
  /** Index of its class. */
  readonly label: number;
}

/** The images of one attempt, in the order of its plan: train split for the steps, validation split for the evaluations. Never the test split. */
export class TrainingFeed {
  private readonly plan: TrainingPlan;
  /** Of the loss; applied here as the samples' weights. */
  private readonly classWeights: Float32Array;
  private readonly rings: Readonly<Record<SlotRingName, SlotRing>>;
  private training: BatchPrefetcher<SlotBatch> | null = null;
  private evaluation: BatchPrefetcher<SlotBatch> | null = null;

  private constructor(
    private readonly options: FeedOptions,
    private readonly train: readonly Sample[],
    private readonly validation: readonly Sample[],
  ) {
    const { recipe, prefetchBatches } = options;
    this.plan = new TrainingPlan(recipe, train.length);
    this.classWeights = classWeights(
      recipe.classWeights,
      train.map(({ label }) => label),
      options.dataset.classes.length,
    );
    const shape = { microBatchSize: recipe.microBatchSize, imageBytes: recipe.imageSizePx ** 2 * 3 };
    // One slot more than is prefetched: the one that is computed on.
    this.rings = {
      training: new SlotRing(prefetchBatches + 1, { ...shape, microBatches: recipe.globalBatchSize / recipe.microBatchSize }),
      evaluation: new SlotRing(prefetchBatches + 1, { ...shape, microBatches: 1 }),
    };
  }

  /**
   * Reads the manifest and sorts it by split.
   * @throws ObjectMissingError, ObjectCorruptError, DatasetMismatchError, InvalidRecipeError when the train split is too small for the recipe
   */
  static async open(options: FeedOptions): Promise<TrainingFeed> {
    const { dataset, recipe, images } = options;
    const what = `manifest of ${dataset.datasetVersionId}`;
    const bytes = await downloadVerified(
      options.store,
      { key: dataset.manifestKey, sha256: dataset.manifestSha256, what },
      options.patience,
    );
    const entries = parseManifest(bytes, dataset.manifestSha256);
    const split = (name: ManifestEntry['split']) =>
      entries.filter((entry) => entry.split === name).map((entry) => sampleOf(entry, dataset));
    const feed = new TrainingFeed(options, split('train'), split('val'));
    images.retain([...feed.train, ...feed.validation], recipe.imageSizePx);
    return feed;
  }

  get summary(): InputSummary {
    return { trainSamples: this.train.length, validationSamples: this.validation.length };
  }

  /** Starts to load images from this step on. */
  startAt(step: number): void {
    const fill = (index: number, slot: Slot) => this.fillStep(index, slot);
    this.training = new BatchPrefetcher({ ring: this.rings.training, first: step, end: this.plan.totalSteps, fill });
  }

  async trainingBatch(step: number): Promise<SlotBatch> {
    if (this.training === null) throw new RangeError('startAt() comes before trainingBatch().');
    return await this.training.take(step);
  }

  /** Batch 0 starts a new pass over the validation split; the pass before is over and its slots are released. */
  async evaluationBatch(index: number): Promise<SlotBatch> {
    if (index === 0 || this.evaluation === null) this.evaluation = this.newEvaluation();
    return await this.evaluation.take(index);
  }

  release(ring: SlotRingName, slot: number): void {
    this.rings[ring].release(slot);
  }

  close(): void {
    this.training?.close();
    this.evaluation?.close();
  }

  private newEvaluation(): BatchPrefetcher<SlotBatch> {
    const end = Math.ceil(this.validation.length / this.options.recipe.microBatchSize);
    const fill = (index: number, slot: Slot) => this.fillEvaluation(index, slot);
    return new BatchPrefetcher({ ring: this.rings.evaluation, first: 0, end, fill });
  }

  private async fillStep(step: number, slot: Slot): Promise<SlotBatch> {
    const { imageSizePx } = this.options.recipe;
    const plans = this.plan.microBatches(step);
    const wanted = [...new Set(plans.flatMap((plan) => plan.slots.map(({ sample }) => sample)))];
    const pixels = new Map(await Promise.all(wanted.map(async (index) => [index, await this.pixels(this.train[index]!)] as const)));
    const microBatches = plans.map((plan, m) => {
      const sample = (index: number) => {
        const { fileName, label } = this.train[index]!;
        return { id: fileName, label, weight: this.classWeights[label]!, pixels: pixels.get(index)! };
      };
      return assembleMicroBatch(plan, imageSizePx, sample, slot.microBatches[m]!);
    });
    return { slot: slot.index, microBatches };
  }

  private async fillEvaluation(index: number, slot: Slot): Promise<SlotBatch> {
    const { microBatchSize, imageSizePx } = this.options.recipe;
    const samples = this.validation.slice(index * microBatchSize, (index + 1) * microBatchSize);
    const { images, labels, weights } = slot.microBatches[0]!;
    const imageBytes = imageSizePx ** 2 * 3;
    await Promise.all(
      samples.map(async (sample, i) => {
        images.set(await this.pixels(sample), i * imageBytes);
        labels[i] = sample.label;
        weights[i] = 1;
      }),
    );
    const n = samples.length;
    const batch = { images: images.subarray(0, n * imageBytes), labels: labels.subarray(0, n), weights: weights.subarray(0, n) };
    return { slot: slot.index, microBatches: [{ ...batch, sampleIds: samples.map(({ fileName }) => fileName) }] };
  }

  private pixels(sample: Sample): Promise<Uint8Array> {
    return this.options.images.pixels(sample, this.options.recipe.imageSizePx, this.options.patience);
  }
}

function sampleOf(entry: ManifestEntry, dataset: DatasetRef): Sample {
  const label = dataset.classes.indexOf(entry.label);
  if (label >= 0) return { projectId: dataset.projectId, sha256: entry.sha256, fileName: entry.fileName, label };
  throw new DatasetMismatchError(
    `${entry.fileName} has the label "${entry.label}", which is none of the dataset version's classes: ${dataset.classes.join(', ')}.`,
    {
      fileName: entry.fileName,
      label: entry.label,
      classes: dataset.classes,
    },
  );
}
