/**
 * Why the attempt has to leave; a later one overrules an earlier one of lower rank.
 * PAUSE: a user wants the run to go on later. CANCEL: a user
 * wants it to end. STOPPING: this worker is shutting down, or drained. ABANDON: the attempt is no longer ours, nothing may be written for it.
 */
export const STOP_REASONS = ['NONE', 'PAUSE', 'CANCEL', 'STOPPING', 'ABANDON'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

const PROGRESS = 0;
const STOP = 1;

/**
 * Two numbers in memory that both threads see, because messages reach the main thread only between two TensorFlow calls, and heartbeats
 * must not wait for them: what has been finished, and whether it should leave its attempt.
 */
export class SharedControl {
  private readonly words: Int32Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.words = new Int32Array(memory);
  }

  /** Counts one finished piece of work: a micro-batch, a batch of an evaluation, a stage of the preparation, an image or part of a checkpoint moved. */
  countProgress(): void {
    Atomics.add(this.words, PROGRESS, 1);
  }

  /** Never negative: after 2³¹ pieces it starts again at 0. */
  get progress(): number {
    return Atomics.load(this.words, PROGRESS) & 0x7fffffff;
  }

  requestStop(reason: StopReason): void {
    const rank = STOP_REASONS.indexOf(reason);
    if (rank > Atomics.load(this.words, STOP)) Atomics.store(this.words, STOP, rank);
  }

  get stopReason(): StopReason {
    return STOP_REASONS[Atomics.load(this.words, STOP)] ?? 'NONE';
  }

  /** For the next attempt. */
  clearStop(): void {
    Atomics.store(this.words, STOP, 0);
  }
}
