import { Recorder, Scheduler, WorkerRegistry, type RunBook } from '@roentgen/coordinator';
import { UnavailableError, isTerminal, newId, type RunCommand, type RunId, type RunStatus, type WorkerId } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import type { AttemptOffer, AttemptStop } from '@roentgen/protocol';
import type { z } from 'zod';
import { COORDINATORS, RUNS, STORMY_TURNS, WORKERS, type Fault } from './faults.js';
import { randomNumbers } from '../seed.js';
import { SimulatedWorker, type Batch } from './simulated-worker.js';

const TURN_MS = 250;
const LOST_MS = 2_000;
const LEASE_MS = 5_000;
const REQUEST_TURNS = 8;
/** Enough for every retry and its pause. */
const CALM_TURNS = 2_000;

/** How often the database takes its time, and at most how long. */
const SLOW_DATABASE = 0.05;
const SLOW_TURNS = 3;
/** At most so much later a write that was given up is carried out: long after its lease. */
const LATE_TURNS = 60;

/** A store that can look at what it holds. */
export interface SimulatedStore {
  readonly book: RunBook;
  addRun(): Promise<RunId>;
  status(runId: RunId): Promise<RunStatus>;
}

interface Node {
  /** `stopping`: it ends the look that it has begun, and takes no more requests. */
  state: 'alive' | 'stopping' | 'frozen' | 'dead';
  /** Until this turn nothing of what was sent to it has been read. */
  deafUntil: number;
  scheduler: Scheduler;
  recorder: Recorder;
  registry: WorkerRegistry;
  ticking: boolean;
}

/** Coordinators (the real scheduler and recorder), workers and what is between them, turn by turn, with the faults of a schedule. */
export class Simulation {
  nowMs = 1_000_000;
  readonly workers = Array.from({ length: WORKERS }, (_, i) => new SimulatedWorker(`w${i}`));
  runIds: RunId[] = [];
  private turnCount = 0;
  private readonly nodes: Node[] = [];
  private readonly waiting: { readonly until: () => boolean; readonly go: () => void }[] = [];
  private readonly until = { brokerAway: 0, brokerHangs: 0, databaseAway: 0, answersLost: 0, lateWrites: 0 };
  private readonly drained = new Map<SimulatedWorker, WorkerId>();
  private readonly random: () => number;
  private readonly mending: { readonly at: number; readonly mend: () => void }[] = [];

  constructor(
    private readonly store: SimulatedStore,
    private readonly schedule: readonly Fault[],
    seed: number,
  ) {
    this.random = randomNumbers(seed ^ 0x5eed);
  }

  /** Through the storm, then until every run has ended, or the time for that is over. */
  async run(): Promise<void> {
    for (let i = 0; i < RUNS; i++) this.runIds.push(await this.store.addRun());
    for (let i = 0; i < COORDINATORS; i++) this.nodes.push(this.newNode());
    while (this.turnCount < STORMY_TURNS) await this.turn();
    for (const { mend } of this.mending.splice(0)) mend();
    Object.assign(this.until, { brokerAway: 0, brokerHangs: 0, databaseAway: 0, answersLost: 0, lateWrites: 0 });
    for (let i = 0; i < CALM_TURNS && !(await this.allEnded()); i++) {
      // Users resume what is paused, sooner or later.
      if (i % 50 === 49) for (const runId of this.runIds) await this.command(runId, { kind: 'RESUME', why: WHY });
      await this.turn();
    }
  }

  private async allEnded(): Promise<boolean> {
    const statuses = await Promise.all(this.runIds.map((runId) => this.store.status(runId)));
    return statuses.every(isTerminal);
  }

  private async turn(): Promise<void> {
    this.turnCount++;
    this.nowMs += TURN_MS;
    for (const { mend } of takeWhere(this.mending, ({ at }) => at <= this.turnCount)) mend();
    for (const fault of this.schedule) if (fault.at === this.turnCount) await this.strike(fault);
    for (const [i, worker] of this.workers.entries()) if (worker.state === 'alive') this.workerTurn(worker, i);
    // Whether a coordinator first hears the answer that it waits for, or its own clock, is chance.
    if (this.random() < 0.5) await this.goOn();
    for (const node of this.nodes) this.coordinatorTurn(node);
    await this.goOn();
  }

  private async goOn(): Promise<void> {
    for (const { go } of takeWhere(this.waiting, ({ until }) => until())) go();
    await settled();
  }

  private workerTurn(worker: SimulatedWorker, place: number): void {
    worker.turn();
    if (this.brokerWorks) for (const node of this.nodes) if (this.listens(node)) node.registry.heard(worker.heartbeat());
    const target = this.nodes[(this.turnCount + place) % this.nodes.length];
    void worker.send((batch) => this.request(() => (target === undefined ? Promise.reject(away()) : this.record(target, batch))));
  }

  private listens(node: Node): boolean {
    return node.state === 'alive' && this.turnCount >= node.deafUntil;
  }

  private async record(node: Node, batch: Batch): Promise<unknown> {
    await this.gate(node);
    return await node.recorder.record(batch);
  }

  private coordinatorTurn(node: Node): void {
    if (node.state !== 'alive') return;
    node.scheduler.watchBroker();
    if (node.ticking) return;
    node.ticking = true;
    const over = () => {
      node.ticking = false;
    };
    node.scheduler.tick().then(over, over);
  }

  /** A request over the broker: it may not arrive, and its answer may not come back. */
  private async request<T>(carryOut: () => Promise<T>): Promise<T> {
    if (!this.brokerWorks) return await this.timeout();
    const answer = carryOut();
    answer.catch(() => undefined);
    if (this.turnCount < this.until.answersLost) return await this.timeout();
    return await Promise.race([answer, this.timeout<T>()]);
  }

  private async timeout<T>(): Promise<T> {
    const deadline = this.turnCount + REQUEST_TURNS;
    await this.once(() => this.turnCount >= deadline);
    throw away();
  }

  private once(until: () => boolean): Promise<void> {
    return new Promise((go) => this.waiting.push({ until, go }));
  }

  private turns(count: number): Promise<void> {
    const until = this.turnCount + count;
    return this.once(() => this.turnCount >= until);
  }

  private upTo(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  private get brokerWorks(): boolean {
    return this.turnCount >= this.until.brokerAway && this.turnCount >= this.until.brokerHangs;
  }

  /** Before and after each use of the store: a coordinator may be stopped in between, for ever when it is killed. */
  private async gate(node: Node): Promise<void> {
    // The database takes its time now and then: so a coordinator can be stopped in the middle of a look.
    if (this.random() < SLOW_DATABASE) await this.turns(1 + this.upTo(SLOW_TURNS));
    const goesOn = () => node.state === 'alive' || node.state === 'stopping';
    if (!goesOn()) await this.once(goesOn);
    if (this.turnCount < this.until.databaseAway) throw away();
  }

  private newNode(): Node {
    const clock = { now: () => new Date(this.nowMs) };
    const registry = new WorkerRegistry(LOST_MS, clock);
    const gate = () => this.gate(node);
    const { book } = this.store;
    const gated = async <T>(use: () => Promise<T>): Promise<T> => {
      await gate();
      const result = await use();
      await gate();
      return result;
    };
    const runs: RunBook = {
      claimOpen: (...args) => gated(() => book.claimOpen(...args)),
      renew: (...args) => gated(() => book.renew(...args)),
      release: (...args) => gated(() => book.release(...args)),
      liveAttempts: (...args) => gated(() => book.liveAttempts(...args)),
      explainWait: (...args) => gated(() => book.explainWait(...args)),
      apply: (...args) => gated(() => this.write(() => book.apply(...args))),
      report: (...args) => gated(() => book.report(...args)),
    };
    const live = { publish: () => undefined };
    const scheduler = new Scheduler({
      id: newId('crd'),
      runs,
      bus: this.busOf(),
      live,
      registry,
      presence: { upsert: () => gated(() => Promise.resolve()) },
      exclusions: {
        excluded: () => gated(() => Promise.resolve({ setAside: new Set<string>(), drained: new Set(this.drained.values()) })),
      },
      clock,
      logger: silentLogger,
      // Workers of the simulation die, and are slow; none hangs.
      options: { leaseMs: LEASE_MS, workerLostMs: LOST_MS, stalledMs: Infinity, maxRuns: 100 },
    });
    const refused = { count: () => Promise.resolve(1), keep: () => Promise.resolve() };
    const recorder = new Recorder({ runs, live, refused, logger: silentLogger });
    const node: Node = { state: 'alive', deafUntil: 0, scheduler, recorder, registry, ticking: false };
    return node;
  }

  private async write<T>(carryOut: () => Promise<T>): Promise<T> {
    if (this.turnCount >= this.until.lateWrites) return await carryOut();
    // Nobody waits for its answer any more.
    void this.turns(1 + this.upTo(LATE_TURNS)).then(carryOut);
    return await this.timeout();
  }

  private busOf(): ConstructorParameters<typeof Scheduler>[0]['bus'] {
    const isAway = () => this.turnCount < this.until.brokerAway;
    const flush = () => (this.brokerWorks ? Promise.resolve() : this.once(() => this.brokerWorks));
    const request = (message: { name: string }, tokens: readonly string[], payload: unknown) =>
      this.request(async () => {
        const worker = this.workers.find(({ workerId }) => workerId === tokens[0]);
        if (worker?.state !== 'alive') return await this.timeout();
        return message.name === 'attempt-offer'
          ? worker.offer(payload as z.infer<typeof AttemptOffer.schema>)
          : worker.stop(payload as z.infer<typeof AttemptStop.schema>);
      });
    return {
      get connected() {
        return !isAway();
      },
      flush,
      request: request as ConstructorParameters<typeof Scheduler>[0]['bus']['request'],
    };
  }

  private async strike(fault: Fault): Promise<void> {
    const later = (turns: number, mend: () => void) => this.mending.push({ at: this.turnCount + turns, mend });
    switch (fault.kind) {
      case 'kill-worker':
      case 'freeze-worker':
        return strikeWorker(this.workers[fault.which], fault.kind === 'kill-worker', (mend) => later(fault.turns, mend));
      case 'drain-worker':
        return this.drain(this.workers[fault.which], (mend) => later(fault.turns, mend));
      case 'kill-coordinator':
      case 'freeze-coordinator':
      case 'stop-coordinator':
        return this.strikeCoordinator(fault.which, fault.kind, (mend) => later(fault.turns, mend));
      case 'broker-away':
        this.until.brokerAway = this.turnCount + fault.turns;
        return;
      case 'broker-hangs':
        this.until.brokerHangs = this.turnCount + fault.turns;
        return;
      case 'database-away':
        this.until.databaseAway = this.turnCount + fault.turns;
        return;
      case 'answers-lost':
        this.until.answersLost = this.turnCount + fault.turns;
        return;
      case 'late-writes':
        this.until.lateWrites = this.turnCount + fault.turns;
        return;
      case 'attempt-fails': {
        const worker = this.workers[fault.which];
        if (worker !== undefined) worker.failsWith = fault.code;
        return;
      }
      default:
        return await this.command(this.runIds[fault.which], commandOf(fault.kind));
    }
  }

  private drain(worker: SimulatedWorker | undefined, later: (mend: () => void) => void): void {
    if (worker === undefined || this.drained.has(worker)) return;
    // The process is drained, not the name: one that is started anew is not.
    this.drained.set(worker, worker.workerId);
    later(() => this.drained.delete(worker));
  }

  private strikeCoordinator(
    which: number,
    kind: 'kill-coordinator' | 'freeze-coordinator' | 'stop-coordinator',
    later: (mend: () => void) => void,
  ): void {
    const node = this.nodes[which];
    if (node?.state !== 'alive') return;
    if (kind === 'freeze-coordinator') {
      node.state = 'frozen';
      later(() => {
        node.state = 'alive';
        // What piled up for it is read before or after it looks around.
        if (this.random() < 0.5) node.deafUntil = this.turnCount + 1;
      });
      return;
    }
    later(() => {
      node.state = 'dead';
      this.nodes[which] = this.newNode();
    });
    if (kind === 'kill-coordinator') node.state = 'dead';
    else void this.stopCoordinator(node);
  }

  private async stopCoordinator(node: Node): Promise<void> {
    node.state = 'stopping';
    await this.once(() => !node.ticking);
    // A lease that cannot be let go runs out by itself.
    await node.scheduler.release().catch(() => undefined);
    node.state = 'dead';
  }

  private async command(runId: RunId | undefined, command: RunCommand): Promise<void> {
    if (runId !== undefined) await this.store.book.apply(runId, command);
  }
}

const WHY = { code: 'USER', message: 'a user wanted it' };
const away = () => new UnavailableError('no answer');

function commandOf(kind: 'cancel' | 'pause' | 'force-pause' | 'force-cancel' | 'resume'): RunCommand {
  if (kind === 'resume') return { kind: 'RESUME', why: WHY };
  return { kind: kind.endsWith('cancel') ? 'CANCEL' : 'PAUSE', force: kind.startsWith('force'), why: WHY };
}

function strikeWorker(worker: SimulatedWorker | undefined, kills: boolean, later: (mend: () => void) => void): void {
  if (worker?.state !== 'alive') return;
  worker.state = kills ? 'dead' : 'frozen';
  later(() => (kills ? worker.restart() : (worker.state = 'alive')));
}

function takeWhere<T>(list: T[], wanted: (item: T) => boolean): T[] {
  const taken = list.filter(wanted);
  list.splice(0, list.length, ...list.filter((item) => !taken.includes(item)));
  return taken;
}

/** Everything that can go on has gone on. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
