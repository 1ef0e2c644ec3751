import { loadavg } from 'node:os';
import { InvalidInputError } from '@roentgen/domain';
import { SetupFailure } from '../../../scripts/setup/failure.mjs';
import { parseBenchmarkArguments, type BenchmarkDefaults, type BenchmarkOptions } from './arguments.js';
import { formatCase, type CaseReport } from './report.js';

/** A case with what else the benchmark found out; `notes` are lines for people, the rest only shows up in JSON. */
export interface CaseResult {
  readonly report: CaseReport & Readonly<Record<string, unknown>>;
  readonly notes?: readonly string[];
}

/** Above it other programs take a noticeable share of even a small machine. */
const BUSY_LOAD = 0.5;

/** Progress goes to stderr, so that stdout holds nothing but the results. */
export const say = (text: string): void => void process.stderr.write(`  ${text}\n`);

/** The command line of a benchmark: each case is printed as soon as it is known. */
export async function runBenchmark<P extends string>(
  defaults: BenchmarkDefaults<P>,
  cases: (options: BenchmarkOptions<P>) => AsyncIterable<CaseResult>,
): Promise<void> {
  try {
    const options = parseBenchmarkArguments(process.argv.slice(2), defaults);
    // What else ran at the start belongs to the figures.
    const loadAverage = Number(loadavg()[0]!.toFixed(2));
    if (loadAverage > BUSY_LOAD)
      say(`the machine is busy (load average ${loadAverage}): wait until it rests, or read the figures as hints`);
    for await (const { report, notes = [] } of cases(options)) {
      const text = [formatCase(report), ...notes, `load average before: ${loadAverage}, threads: ${options.threads}`, ''].join('\n');
      console.log(options.json ? JSON.stringify({ ...report, threads: options.threads, loadAverage }) : text);
    }
  } catch (error) {
    if (!(error instanceof InvalidInputError) && !(error instanceof SetupFailure)) throw error;
    console.error(error.message);
    process.exitCode = error instanceof SetupFailure ? 1 : 2;
  }
}
