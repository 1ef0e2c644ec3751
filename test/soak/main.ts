/**
 * `npm run soak -- [--steps 2000] [--subscribers 200] [--imports 20] [--json]`: a run of many steps on one worker while subscribers come and go and
 * datasets are imported. Exit code 0 when memory, handles, threads, connections and consumers stayed flat, 1 when not, 2 for bad usage.
 */
import { Database } from '@roentgen/database';
import { InvalidInputError } from '@roentgen/domain';
import { silentLogger } from '@roentgen/logger';
import { startTestStack } from '../testkit/global-stack.js';
import { startSystem } from '../testkit/start-system.js';
import { parseSoakArguments, type SoakOptions } from './arguments.js';
import { judge, PROCESSES } from './judge.js';
import { soak, type SoakResult } from './soak.js';
import { storyOf } from '../testkit/faults/flatness.js';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(parseSoakArguments(args));
  } catch (error) {
    console.error(error instanceof InvalidInputError ? `soak: ${error.message}` : error);
    return error instanceof InvalidInputError ? 2 : 1;
  }
}

async function run(options: SoakOptions): Promise<number> {
  const startedAt = performance.now();
  const note = (text: string) => console.error(`${((performance.now() - startedAt) / 1000).toFixed(0)} s  ${text}`);
  const stack = await startTestStack();
  try {
    await using system = await startSystem(stack);
    const database = await Database.connect({ ...system.parts.postgres, poolSize: 1, startupTimeoutMs: 10_000 }, silentLogger);
    try {
      const result = await soak({ system, stack, database, note }, options);
      return report(result, options.json, (performance.now() - startedAt) / 1000);
    } finally {
      await database.close();
    }
  } finally {
    await stack.stop();
  }
}

function report(result: SoakResult, json: boolean, seconds: number): number {
  const { status, steps, visits, events, gaps, failures, imported, processes } = result;
  const judgements = [
    { name: 'run', passed: status === 'SUCCEEDED', found: `${status} after ${steps} steps` },
    { name: 'subscribers', passed: gaps.length === 0, found: `${visits} visits, ${events} events, ${gaps.length} gaps ${gaps[0] ?? ''}` },
    { name: 'failures', passed: failures.length === 0, found: `${failures.length} ${failures[0] ?? ''}; ${imported} imports done` },
    ...judge(result),
  ];
  if (json) console.log(JSON.stringify({ seconds, status, steps, visits, events, imported, gaps, failures, judgements, processes }));
  else {
    for (const name of PROCESSES) console.log(`${name}: ${storyOf(processes[name].filter((_, index) => index % 10 === 9))}`);
    for (const { name, passed, found } of judgements) console.log(`${passed ? '✓' : '✗'} ${name}: ${found}`);
  }
  const failed = judgements.filter(({ passed }) => !passed).length;
  if (!json) console.log(`${judgements.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}
