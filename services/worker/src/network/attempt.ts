import { RoentgenError, RunEventInputSchema, type HeldWait, type ObjectStore, type WorkerId } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import type { Bus } from '@roentgen/messaging';
import { RecordEvents, type HeldAttempt } from '@roentgen/protocol';
import { objectKeys } from '@roentgen/storage';
import { AttemptEndedError } from '../errors.js';
import type {
  AttemptEvent,
  AttemptWork,
  CheckpointBytes,
  InputSummary,
  NewCheckpoint,
  SlotBatch,
  SlotRingName,
  StepObservation,
  WeightBytes,
} from '../rpc.js';
import type { AttemptObserver } from '../observability/attempt-observation.js';
import type { SharedControl } from '../shared-control.js';
import { downloadNamed, downloadVerified } from './objects.js';
import { EventOutbox } from './outbox.js';
import { patiently, type PatientOptions } from './patience.js';
import { TrainingFeed, type FeedOptions } from './training-feed.js';
import { Waits } from './waits.js';

export interface AttemptOptions {
  readonly work: AttemptWork;
  readonly workerId: WorkerId;
  readonly bus: Pick<Bus, 'request'>;
  readonly store: Pick<ObjectStore, 'get' | 'put'>;
  readonly images: FeedOptions['images'];
  readonly control: SharedControl;
  readonly prefetchBatches: number;
  readonly observer: AttemptObserver;
  readonly logger: Logger;
}

const RECORD_TIMEOUT_MS = 10_000;

const RECORDING = Symbol('recording of events');
const DATABASE_FULL: HeldWait = {
  code: 'DATABASE_FULL',
  message:
    'The disk of the database is full, so what the run does cannot be recorded. Space has to be freed there, or the disk made larger; the worker keeps its events until then.',
};

/** An attempt while this worker holds it: its events, its images, its checkpoints. Once it is abandoned nothing is written for it any more. */
export class Attempt {
  readonly held: HeldAttempt;
  readonly outbox: EventOutbox;
  private readonly abandoned = new AbortController();
  private readonly patience: PatientOptions;
  private readonly waits = new Waits();
  private feed: TrainingFeed | null = null;

  constructor(private readonly options: AttemptOptions) {
    const { work, workerId, bus, control, logger } = options;
    this.held = { runId: work.runId, attemptId: work.attemptId, generation: work.generation, token: work.token };
    const onProgress = () => control.countProgress();
    const inHurry = () => control.stopReason !== 'NONE';
    this.patience = { logger, signal: this.abandoned.signal, inHurry, waits: this.waits, onProgress };
    this.outbox = new EventOutbox({
      producer: `${work.attemptId}/${workerId}`,
      send: (events) => bus.request(RecordEvents, [workerId], { ...this.held, workerId, events }, { timeoutMs: RECORD_TIMEOUT_MS }),
      onRefused: (error) => void this.refused(error),
      onHeldUp: (error) => this.recordingHeldUp(error),
      logger,
    });
  }

  /** Why it does not go on; null when it does. */
  get waiting(): HeldWait | null {
    return this.waits.current;
  }

  get work(): AttemptWork {
    return this.options.work;
  }

  /** The attempt is no longer ours: the compute thread leaves it at the next step boundary, or at once where it waits for something. */
  abandon(why: string): void {
    // A compute thread that hangs keeps it from being let go: it is asked again and again.
    if (this.abandoned.signal.aborted) return;
    this.options.logger.warn({ runId: this.held.runId, attemptId: this.held.attemptId }, `the attempt is abandoned: ${why}`);
    this.options.control.requestStop('ABANDON');
    this.close();
  }

  private recordingHeldUp(error: Error | null): void {
    if (error instanceof RoentgenError && error.code === 'DATABASE_FULL') this.waits.begin(RECORDING, DATABASE_FULL);
    else this.waits.end(RECORDING);
  }

  /** The recorder will never take what this attempt says. Where it is still ours, it fails with that reason. */
  private async refused(error: Error): Promise<void> {
    this.abandon(`its events are refused: ${error.message}`);
    if (error instanceof RoentgenError && error.code === 'STALE_TOKEN') return;
    const { bus, workerId, logger } = this.options;
    const failure = { code: 'EVENTS_REFUSED', message: `the recorder refused what the worker reported: ${error.message}`, details: {} };
    const eventId = `${this.held.attemptId}/${workerId}/refused`;
    const event = RunEventInputSchema.parse({ eventId, kind: 'ATTEMPT_FAILED', occurredAt: new Date().toISOString(), failure });
    await bus
      .request(RecordEvents, [workerId], { ...this.held, workerId, events: [event] }, { timeoutMs: RECORD_TIMEOUT_MS })
      .catch((err: unknown) =>
        logger.warn({ err, runId: this.held.runId }, 'the reason could not be recorded; the attempt counts as lost'),
      );
  }

  async report(event: AttemptEvent, step?: StepObservation): Promise<void> {
    this.options.observer.reported(event, step ?? null);
    await this.outbox.add({ ...event, attemptId: this.held.attemptId, workerId: this.options.workerId });
  }

  async readResumeCheckpoint(): Promise<CheckpointBytes | null> {
    const { work, store } = this.options;
    if (work.resumeFrom === null) return null;
    const { checkpointId, objectKey, sha256 } = work.resumeFrom;
    return await readCheckpoint(store, { checkpointId, objectKey, sha256 }, this.patience);
  }

  async readInitialWeights(): Promise<WeightBytes | null> {
    const { work, store } = this.options;
    if (work.initialWeights === null) return null;
    const { name, objectKey, sha256 } = work.initialWeights;
    return { tensors: await downloadVerified(store, { key: objectKey, sha256, what: `weight set "${name}"` }, this.patience) };
  }

  async openInput(startStep: number): Promise<InputSummary> {
    const { work, store, images, prefetchBatches } = this.options;
    const feed = await TrainingFeed.open({
      store,
      images,
      dataset: work.dataset,
      recipe: work.recipe,
      prefetchBatches,
      patience: this.patience,
    });
    this.refuseWhenAbandoned();
    this.feed = feed;
    feed.startAt(startStep);
    return feed.summary;
  }

  trainingBatch(step: number): Promise<SlotBatch> {
    return this.openFeed().trainingBatch(step);
  }

  evaluationBatch(index: number): Promise<SlotBatch> {
    if (index === 0) this.options.observer.evaluationBegan();
    return this.openFeed().evaluationBatch(index);
  }

  releaseSlot(ring: SlotRingName, slot: number): void {
    this.feed?.release(ring, slot);
  }

  /** The description goes last: where it is, the tensors are whole. */
  async saveCheckpoint({ checkpointId, tensors, description }: NewCheckpoint): Promise<{ objectKey: string }> {
    const { work, store } = this.options;
    const objectKey = objectKeys.checkpoint(work.projectId, work.runId, checkpointId);
    const put = (key: string, bytes: Uint8Array, type: string) =>
      patiently(`upload of checkpoint ${checkpointId}`, () => store.put(key, bytes, type, this.patience.onProgress), this.patience);
    return await this.options.observer.uploadingCheckpoint(tensors.length, async () => {
      await put(objectKey, tensors, 'application/octet-stream');
      await put(objectKeys.checkpointDescription(objectKey), Buffer.from(JSON.stringify(description)), 'application/json');
      return { objectKey };
    });
  }

  /** Ends what still runs for the attempt. Events that are not confirmed are dropped. */
  close(): void {
    this.abandoned.abort();
    this.feed?.close();
    this.outbox.close();
    this.options.observer.left();
  }

  private openFeed(): TrainingFeed {
    this.refuseWhenAbandoned();
    if (this.feed === null) throw new RangeError('openInput() comes before the first batch.');
    return this.feed;
  }

  private refuseWhenAbandoned(): void {
    if (this.abandoned.signal.aborted) throw new AttemptEndedError('the attempt is no longer held by this worker.');
  }
}

/** Both files of a checkpoint. @throws ObjectMissingError, ObjectCorruptError, UnavailableError */
export async function readCheckpoint(
  store: Pick<ObjectStore, 'get'>,
  checkpoint: { checkpointId: string; objectKey: string; sha256: string },
  patience: PatientOptions,
): Promise<CheckpointBytes> {
  const what = `checkpoint ${checkpoint.checkpointId}`;
  const [tensors, json] = await Promise.all([
    downloadVerified(store, { key: checkpoint.objectKey, sha256: checkpoint.sha256, what }, patience),
    downloadNamed(store, objectKeys.checkpointDescription(checkpoint.objectKey), `description of ${what}`, patience),
  ]);
  const description: unknown = JSON.parse(json.toString('utf8'));
  return { tensors, description };
}
