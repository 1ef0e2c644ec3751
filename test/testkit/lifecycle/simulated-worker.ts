import { RoentgenError, RunEventInputSchema, coerceError, newId, type RunEventInput, type WorkerId } from '@roentgen/domain';
import type { AttemptOffer, AttemptStop, HeldAttempt, WorkerHeartbeat } from '@roentgen/protocol';
import type { z } from 'zod';

type Offer = z.infer<typeof AttemptOffer.schema>;
type Stop = z.infer<typeof AttemptStop.schema>;
export type Batch = HeldAttempt & { workerId: WorkerId; events: RunEventInput[] };

/** Steps of each run, and how often it saves a checkpoint. */
export const TOTAL_STEPS = 80;
const CHECKPOINT_EVERY = 9;

interface Work {
  readonly held: HeldAttempt;
  step: number;
  started: boolean;
  over: boolean;
  stop: Stop['reason'] | null;
  /** Facts stated so far. */
  stated: number;
  readonly outbox: RunEventInput[];
}

/** A worker as the protocol describes it: one step a turn, events kept until they are confirmed. Its time is that of the simulation. */
export class SimulatedWorker {
  workerId: WorkerId = newId('wkr');
  state: 'alive' | 'frozen' | 'dead' = 'alive';
  /** What its attempt fails with next. */
  failsWith: string | null = null;
  readonly confirmed: { runId: string; eventId: string }[] = [];
  private work: Work | null = null;
  private sending = false;

  constructor(readonly name: string) {}

  /** A new process: it knows nothing of what the old one held. */
  restart(): void {
    this.workerId = newId('wkr');
    this.state = 'alive';
    this.work = null;
    this.sending = false;
  }

  holds(attemptId: string): boolean {
    return this.work?.held.attemptId === attemptId;
  }

  heartbeat(): z.infer<typeof WorkerHeartbeat.schema> {
    const { workerId, name } = this;
    const state = this.work === null ? 'IDLE' : 'TRAINING';
    const fixed = {
      version: '1',
      device: 'cpu' as const,
      deviceName: 'none',
      progressCounter: 0,
      startedAt: new Date(0).toISOString(),
      residentBytes: 0,
    };
    return { ...fixed, workerId, name, state, holding: this.work?.held ?? null, waiting: null, chunks: [], runtime: null };
  }

  offer(offer: Offer): z.infer<typeof AttemptOffer.reply> {
    const { runId, attemptId, generation, token } = offer;
    if (this.work?.held.attemptId === attemptId) return { accepted: true, reason: null };
    if (this.work !== null) return { accepted: false, reason: 'BUSY' };
    const step = offer.resumeFrom === null ? 0 : Number(offer.resumeFrom.objectKey);
    this.work = { held: { runId, attemptId, generation, token }, step, started: false, over: false, stop: null, stated: 0, outbox: [] };
    return { accepted: true, reason: null };
  }

  stop({ attemptId, token, reason }: Stop): z.infer<typeof AttemptStop.reply> {
    const { work } = this;
    if (work?.held.attemptId !== attemptId || work.held.token !== token) return { known: false };
    if (reason === 'SUPERSEDED') this.work = null;
    else work.stop = reason;
    return { known: true };
  }

  /** One step, and what it has to say about it. */
  turn(): void {
    const { work } = this;
    if (work === null || work.over) return;
    if (!work.started) {
      work.started = true;
      this.say(work, 'RUN_STARTED');
      return;
    }
    if (this.failsWith !== null) return this.fail(work, this.failsWith);
    if (work.stop !== null) return this.leave(work, work.stop);
    if (work.step < TOTAL_STEPS) {
      work.step++;
      this.say(work, 'STEP_COMMITTED');
      if (work.step % CHECKPOINT_EVERY === 0) this.say(work, 'CHECKPOINT_SAVED');
    } else {
      this.say(work, 'RUN_SUCCEEDED');
      work.over = true;
    }
  }

  /** Sends what is not confirmed, one batch at a time, unchanged until there is an answer. */
  async send(request: (batch: Batch) => Promise<unknown>): Promise<void> {
    const { work, workerId } = this;
    if (work === null || work.outbox.length === 0 || this.sending) return;
    this.sending = true;
    const events = [...work.outbox];
    try {
      await request({ ...work.held, workerId, events });
      work.outbox.splice(0, events.length);
      this.confirmed.push(...events.map(({ eventId }) => ({ runId: work.held.runId, eventId })));
      if (work.over && work.outbox.length === 0 && this.work === work) this.work = null;
    } catch (thrown) {
      const error = coerceError(thrown);
      const final = error instanceof RoentgenError && (error.code === 'STALE_TOKEN' || error.code === 'CONFLICT');
      if (final && this.work === work) this.work = null;
    } finally {
      if (this.workerId === workerId) this.sending = false;
    }
  }

  private fail(work: Work, code: string): void {
    this.failsWith = null;
    this.say(work, 'ATTEMPT_FAILED', { failure: { code, message: code, details: {} } });
    work.over = true;
  }

  private leave(work: Work, reason: Stop['reason']): void {
    if (reason === 'DRAIN') return this.fail(work, 'WORKER_STOPPING');
    this.say(work, 'CHECKPOINT_SAVED');
    this.say(work, reason === 'PAUSE' ? 'RUN_PAUSED' : 'RUN_CANCELLED');
    work.over = true;
  }

  private say(work: Work, kind: RunEventInput['kind'], rest: object = {}): void {
    const { step } = work;
    const bytes = { objectKey: String(step), sha256: 'c'.repeat(64), bytes: 1 };
    const checkpoint = kind === 'CHECKPOINT_SAVED' ? { checkpointId: newId('ckp'), epoch: 1, step, ...bytes } : null;
    const eventId = `${work.held.attemptId}/${this.workerId}/${++work.stated}`;
    work.outbox.push(
      RunEventInputSchema.parse({ eventId, kind, step, epoch: 1, checkpoint, occurredAt: new Date(0).toISOString(), ...rest }),
    );
  }
}
