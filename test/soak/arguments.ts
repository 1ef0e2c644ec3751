import { parseArgs } from 'node:util';
import { InvalidInputError } from '@roentgen/domain';

export interface SoakOptions {
  /** Training steps; the run has as many, rounded up to whole epochs. */
  readonly steps: number;
  /** Subscribers to the run at any time; each leaves after a while and comes back. */
  readonly subscribers: number;
  /** Datasets imported meanwhile, spread evenly over the steps. */
  readonly imports: number;
  readonly json: boolean;
}

/** Fewer leave nothing to compare after the beginning. */
const LEAST_STEPS = 100;

/** @throws InvalidInputError naming the argument, its value and what it can be */
export function parseSoakArguments(args: readonly string[]): SoakOptions {
  const text = { type: 'string' } as const;
  const values = parse(() =>
    parseArgs({
      args: [...args],
      options: { steps: text, subscribers: text, imports: text, json: { type: 'boolean', default: false } },
    }),
  );
  return {
    steps: wholeNumber('steps', values.steps, { preset: 2_000, least: LEAST_STEPS }),
    subscribers: wholeNumber('subscribers', values.subscribers, { preset: 200, least: 0 }),
    imports: wholeNumber('imports', values.imports, { preset: 20, least: 0 }),
    json: values.json,
  };
}

function parse<V>(read: () => { values: V }): V {
  try {
    return read().values;
  } catch (cause) {
    throw invalid('arguments', cause instanceof Error ? cause.message : String(cause));
  }
}

function wholeNumber(name: string, value: string | undefined, { preset, least }: { preset: number; least: number }): number {
  if (value === undefined) return preset;
  const number = /^\d{1,7}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least)) throw invalid(name, `--${name} is "${value}"; expected a whole number from ${least} on, such as ${preset}.`);
  return number;
}

const invalid = (field: string, message: string) => new InvalidInputError(message, [{ field, message }]);
