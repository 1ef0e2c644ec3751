import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { InvalidInputError, parseVariantName, type EfficientNetVariant } from '@roentgen/domain';

/** A network, the side of its images and their number, written `b0-224-8`. */
export interface ModelCase {
  readonly name: string;
  readonly variant: EfficientNetVariant;
  readonly imageSizePx: number;
  readonly batchSize: number;
}

export interface BenchmarkOptions<P extends string = string> {
  readonly json: boolean;
  readonly rounds: number;
  /** Measured steps of each contestant in a round. */
  readonly steps: number;
  /** Threads that each contestant may use. */
  readonly threads: number;
  readonly cases: readonly ModelCase[];
  readonly peers: readonly P[];
}

export interface BenchmarkDefaults<P extends string> {
  /** Left out where the benchmark has only one case. */
  readonly cases?: string;
  readonly steps: number;
  readonly peers: readonly P[];
}

/** @throws InvalidInputError naming the argument, its value and what it can be */
export function parseBenchmarkArguments<P extends string>(args: readonly string[], defaults: BenchmarkDefaults<P>): BenchmarkOptions<P> {
  const values = parse(args);
  if (values.cases !== undefined && defaults.cases === undefined)
    throw invalid('cases', 'This benchmark has only one case: leave out --cases.');
  return {
    json: values.json,
    rounds: wholeNumber('rounds', values.rounds, 5),
    steps: wholeNumber('steps', values.steps, defaults.steps),
    threads: wholeNumber('threads', values.threads, availableParallelism()),
    cases: list(values.cases ?? defaults.cases ?? '').map(parseModelCase),
    peers: values.peers === undefined ? defaults.peers : chosenPeers(values.peers, defaults.peers),
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: { json: { type: 'boolean', default: false }, rounds: text, steps: text, threads: text, cases: text, peers: text },
    }).values;
  } catch (cause) {
    throw invalid('arguments', cause instanceof Error ? cause.message : String(cause));
  }
}

/** @throws InvalidInputError */
export function parseModelCase(text: string): ModelCase {
  const [, name = '', size, batch] = /^([a-z0-9]+)-(\d+)-(\d+)$/i.exec(text) ?? [];
  const variant = parseVariantName(name);
  if (variant === null || !Number(size) || !Number(batch)) {
    throw invalid('cases', `--cases has ${JSON.stringify(text)}: expected variant-pixels-batch, such as b0-224-8.`);
  }
  return { name: text.toLowerCase(), variant, imageSizePx: Number(size), batchSize: Number(batch) };
}

function chosenPeers<P extends string>(text: string, known: readonly P[]): readonly P[] {
  if (text === 'none') return [];
  return list(text).map((name) => {
    const peer = known.find((one) => one === name);
    if (peer === undefined) throw invalid('peers', `--peers has ${JSON.stringify(name)}: expected none or some of ${known.join(', ')}.`);
    return peer;
  });
}

function wholeNumber(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw invalid(name, `--${name} is ${JSON.stringify(text)}: expected a whole number from 1 to 9999.`);
  return Number(text);
}

function list(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

function invalid(field: string, message: string): InvalidInputError {
  return new InvalidInputError(message, [{ field, message }]);
}
