import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

export interface MetricsOptions {
  /** `gateway`, `coordinator` or `worker`. */
  readonly service: string;
  readonly version: string;
}

/** What every metric of ours starts with; those of the process itself have the names that Prometheus' clients share. */
const PREFIX = 'roentgen_';
const NAME = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/** Prometheus waits 10 s for a scrape by default. */
const COLLECT_TIMEOUT_MS = 2_000;

/** Latencies from a millisecond to a minute and a half. */
export const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90];
/** Work on tensors and on large objects: from 5 ms to 10 minutes. */
export const WORK_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600];

/**
 * The metrics of one service in one process, as Prometheus scrapes them. Names are given without `roentgen_`, with base units (`_seconds`, `_bytes`)
 * and `_total` for counters. Labels take values of small, fixed sets: never an id, never a text that a user chose.
 */
export class Metrics {
  private readonly registry = new Registry();
  private readonly collectErrors: Counter<'metric'>;
  private collectsProcess = false;

  constructor({ service, version }: MetricsOptions) {
    this.gauge('build_info', 'Always 1; says which version of which service this is.', ['service', 'version']).set({ service, version }, 1);
    this.collectErrors = this.counter('metrics_collect_errors_total', 'Values that could not be found out when they were asked for.', [
      'metric',
    ]);
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    if (!name.endsWith('_total')) throw new RangeError(`the counter "${name}" must end with _total`);
    return new Counter({ name: fullName(name), help, labelNames, registers: [this.registry] });
  }

  /**
   * @param collect sets the values when they are asked for. Where it fails, the gauge has none and the rest of the answer stands: a scrape during an
   * outage is the one that matters.
   */
  gauge<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect: ((gauge: Gauge<L>) => void | Promise<void>) | null = null,
  ): Gauge<L> {
    const configuration = { name: fullName(name), help, labelNames, registers: [this.registry] };
    if (collect === null) return new Gauge(configuration);
    const gauge = new Gauge<L>({
      ...configuration,
      collect: (): Promise<void> => this.collected(gauge, { name, labels: labelNames.length }, collect),
    });
    return gauge;
  }

  /** @param buckets upper bounds in the unit of the name, ascending */
  histogram<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    buckets: readonly number[] = LATENCY_SECONDS,
  ): Histogram<L> {
    if (!/_(seconds|bytes)$/.test(name)) throw new RangeError(`the histogram "${name}" must name its base unit: _seconds or _bytes`);
    return new Histogram({ name: fullName(name), help, labelNames, buckets: [...buckets], registers: [this.registry] });
  }

  /** Also tells of the process: CPU, memory, handles, garbage collection, delay of the event loop. Costs timers, so only for those who are scraped. */
  includeProcess(): void {
    if (this.collectsProcess) return;
    this.collectsProcess = true;
    collectDefaultMetrics({ register: this.registry });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** All values in Prometheus' text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private async collected<L extends string>(
    gauge: Gauge<L>,
    { name, labels }: { readonly name: string; readonly labels: number },
    collect: (gauge: Gauge<L>) => void | Promise<void>,
  ): Promise<void> {
    gauge.reset();
    try {
      await withinTime(collect(gauge));
    } catch {
      if (labels > 0) gauge.reset();
      else gauge.remove();
      this.collectErrors.inc({ metric: fullName(name) });
    }
  }
}

/** A database that hangs must not take the whole scrape with it. */
async function withinTime(collecting: void | Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), COLLECT_TIMEOUT_MS);
  });
  try {
    await Promise.race([collecting, late]);
  } finally {
    clearTimeout(timer);
  }
}

function fullName(name: string): string {
  if (NAME.test(name)) return PREFIX + name;
  throw new RangeError(`"${name}" is no name of a metric: small letters, digits and single underscores`);
}
