/**
 * Compares with live peers: shapes, logits, gradients, training steps, preprocessing, weight files. See README.md here.
 *
 *   npm run parity -- [--only PATTERN] [--list] [--json]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInputError } from '@roentgen/domain';
import { loadBinding } from '@roentgen/tensorflow';
import { SetupFailure } from '../../scripts/setup/failure.mjs';
import { USAGE, parseParityArguments } from './arguments.js';
import type { ParityOptions } from './arguments.js';
import { PARITY_CASES } from './cases/index.js';
import { ParityContext } from './context.js';
import type { ParityCase } from './context.js';
import { Peers } from './peer-process.js';
import { formatReport, reportFailure, reportMeasurement } from './report.js';
import type { MeasurementReport } from './report.js';

async function runCase(parityCase: ParityCase, context: ParityContext): Promise<MeasurementReport[]> {
  try {
    return (await parityCase.measure(context)).map((measurement) => reportMeasurement(parityCase.name, measurement));
  } catch (error) {
    // A peer that cannot be had at all is no result of a comparison.
    if (error instanceof SetupFailure) throw error;
    return [reportFailure(parityCase.name, error)];
  }
}

/** → exit code */
async function runCases(cases: readonly ParityCase[], { json }: ParityOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'roentgen-parity-'));
  const peers = new Peers();
  const counts = { passed: 0, failed: 0 };
  try {
    const context = new ParityContext(peers, loadBinding, folder);
    for (const parityCase of cases) {
      for (const report of await runCase(parityCase, context)) {
        counts[report.passed ? 'passed' : 'failed'] += 1;
        console.log(json ? JSON.stringify(report) : formatReport(report));
      }
    }
  } finally {
    await peers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const text = `${counts.passed} passed, ${counts.failed} failed`;
  if (json) process.stderr.write(`${text}\n`);
  else console.log(text);
  return counts.failed === 0 ? 0 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  try {
    const options = parseParityArguments(args);
    const cases = PARITY_CASES.filter(({ name }) => options.selects(name));
    if (cases.length === 0) throw new InvalidInputError('No case has such a name: --list shows them all.', []);
    if (!options.list) return await runCases(cases, options);
    for (const { name } of cases) console.log(name);
    return 0;
  } catch (error) {
    if (!(error instanceof InvalidInputError) && !(error instanceof SetupFailure)) throw error;
    console.error(error.message);
    return error instanceof SetupFailure ? 1 : 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
