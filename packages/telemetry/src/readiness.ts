/** Something that a service cannot do its work without, or does less without. */
export interface Dependency {
  /** One word: `postgres`, `nats`, `store`, `selftest`. */
  readonly name: string;
  /** Whether the service counts as not ready while it is away. */
  readonly needed: boolean;
  /** Resolves when it is there; rejects with the reason when it is not. */
  readonly check: () => Promise<unknown>;
}

export interface DependencyStatus {
  readonly name: string;
  readonly needed: boolean;
  readonly state: 'UP' | 'DOWN';
  /** Why it is down. */
  readonly reason: string | null;
}

export interface ReadinessReport {
  readonly ready: boolean;
  /** Why a service with all it needs takes no work: it is starting or stopping. */
  readonly reason: string | null;
  readonly dependencies: readonly DependencyStatus[];
}

export interface ReadinessOptions {
  /** What has not answered by then counts as away. */
  readonly timeoutMs?: number;
  /** An answer is given again for so long: who asks often makes no more work than who asks once. */
  readonly keptMs?: number;
  readonly nowMs?: () => number;
}

const DEFAULTS = { timeoutMs: 2_000, keptMs: 500, nowMs: () => performance.now() };

/** Whether a service can do its work now, and what is missing. */
export class Readiness {
  private readonly options: Required<ReadinessOptions>;
  private dependencies: readonly Dependency[] = [];
  private reason: string | null = 'starting';
  private readonly pending = new Map<string, Promise<unknown>>();
  private last: { readonly report: Promise<ReadinessReport>; readonly atMs: number } | null = null;

  constructor(options: ReadinessOptions = {}) {
    this.options = { ...DEFAULTS, ...options };
  }

  /** What the service stands on is known: from now on it is asked. */
  watch(dependencies: readonly Dependency[]): void {
    this.dependencies = dependencies;
    this.last = null;
  }

  /** The service takes work. */
  started(): void {
    this.reason = null;
    this.last = null;
  }

  /** The service takes no more work: who spreads it should look elsewhere. */
  stopping(): void {
    this.reason = 'stopping';
    this.last = null;
  }

  /** Never rejects. */
  report(): Promise<ReadinessReport> {
    const nowMs = this.options.nowMs();
    if (this.last === null || nowMs - this.last.atMs >= this.options.keptMs) this.last = { report: this.look(), atMs: nowMs };
    return this.last.report;
  }

  private async look(): Promise<ReadinessReport> {
    const { reason } = this;
    const dependencies = await Promise.all(this.dependencies.map((dependency) => this.statusOf(dependency)));
    const ready = reason === null && dependencies.every(({ needed, state }) => state === 'UP' || !needed);
    return { ready, reason, dependencies };
  }

  private async statusOf({ name, needed, check }: Dependency): Promise<DependencyStatus> {
    try {
      await this.withinTime(this.pending.get(name) ?? this.begin(name, check));
      return { name, needed, state: 'UP', reason: null };
    } catch (thrown) {
      return { name, needed, state: 'DOWN', reason: thrown instanceof Error ? thrown.message : String(thrown) };
    }
  }

  /** One question at a time: a part that hangs must not collect questions. */
  private begin(name: string, check: () => Promise<unknown>): Promise<unknown> {
    const asked = check().finally(() => this.pending.delete(name));
    asked.catch(() => undefined);
    this.pending.set(name, asked);
    return asked;
  }

  private async withinTime(answer: Promise<unknown>): Promise<void> {
    const { timeoutMs } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`did not answer within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
