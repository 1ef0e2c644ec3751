/** Values of one metric: its samples by name and labels. */
export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] };

/**
 * Prometheus' text format, version 0.0.4, strictly: every sample belongs to the family declared before it, no sample comes twice, buckets of a
 * histogram do not fall and end with +Inf. (https://prometheus.io/docs/instrumenting/exposition_formats/)
 * @throws Error naming the line
 */
export function parseMetrics(text: string): Map<string, MetricFamily> {
  const families = new Map<string, { name: string; type: string; help: string; samples: MetricSample[] }>();
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (families.has(about)) throw new Error(`declared twice: ${line}`);
      families.set(about, { name: about, type: 'untyped', help: rest, samples: [] });
    } else if (keyword === 'TYPE') {
      const family = families.get(about);
      if (family === undefined || !TYPES.has(rest)) throw new Error(`no such type, or no help before it: ${line}`);
      family.type = rest;
    } else if (!line.startsWith('#')) {
      const sample = parseSample(line);
      const family = [...families.values()].at(-1);
      if (!family || !namesOf(family).includes(sample.name)) throw new Error(`belongs to no family: ${line}`);
      const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(key)) throw new Error(`comes twice: ${line}`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkBuckets(family);
  return families;
}

/** The value of the sample with exactly these labels; undefined when there is none. */
export function valueOf(
  families: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  const samples = [...families.values()].flatMap((family) => family.samples);
  return samples.find((sample) => sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted)?.value;
}

const namesOf = ({ name, type }: MetricFamily): string[] => (SUFFIXES[type] ?? ['']).map((suffix) => name + suffix);

function parseSample(line: string): MetricSample {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  if (name === undefined) throw new Error(`no name: ${line}`);
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    while (!rest.startsWith('}')) {
      const [whole, label, value] = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)",?/.exec(rest) ?? [];
      if (whole === undefined || label === undefined || value === undefined || label in labels)
        throw new Error(`labels cannot be read: ${line}`);
      labels[label] = value.replace(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
      rest = rest.slice(whole.length);
    }
    rest = rest.slice(1);
  }
  // Prometheus reads numbers as Go does, whatever their case: clients write NaN and Nan.
  const [, number] = /^ (nan|[+-]?inf|[+-]?[0-9][0-9.e+-]*)( -?\d+)?$/i.exec(rest) ?? [];
  if (number === undefined) throw new Error(`no value: ${line}`);
  return { name, labels, value: Number(number.replace(/inf/i, 'Infinity')) };
}

function checkBuckets({ name, samples }: MetricFamily): void {
  const series = new Map<string, MetricSample[]>();
  for (const sample of samples.filter((each) => each.name === `${name}_bucket`)) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, buckets] of series) {
    if (buckets.some(({ value }, i) => value < (buckets[i - 1]?.value ?? 0)) || buckets.at(-1)?.labels['le'] !== '+Inf') {
      throw new Error(`the buckets of ${name}${key} fall, or do not end with +Inf`);
    }
  }
}
