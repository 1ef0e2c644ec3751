import { SelftestSummarySchema, type SelftestLevel, type SelftestSummary } from '@roentgen/domain';
import { z } from 'zod';
import type { SelftestReport } from './selftest.js';

/** What a worker knows of its machine from its self-test. */
export const SelftestOutcomeSchema = z.object({ summary: SelftestSummarySchema, memoryScale: z.number().positive().nullable() });
export type SelftestOutcome = z.output<typeof SelftestOutcomeSchema>;

const OUTCOME_VARIABLE = 'WORKER_SELFTEST_OUTCOME';
/** A word more would make a registration of many kilobytes. */
const MAX_TEXT = 500;

export function outcomeOf(report: SelftestReport, level: SelftestLevel, at: Date): SelftestOutcome {
  const summary: SelftestSummary = {
    verdict: report.verdict,
    level,
    at: at.toISOString(),
    seconds: report.seconds,
    tensorflowVersion: report.libtensorflow?.version ?? null,
    checks: report.checks.map(({ name, verdict, measured, bound }) => ({ name, verdict, measured: measured.slice(0, MAX_TEXT), bound })),
    speeds: report.checks.flatMap((check) => {
      const speed = SelftestSummarySchema.shape.speeds.unwrap().safeParse(check.values);
      return check.verdict === 'PASS' && speed.success ? [speed.data] : [];
    }),
  };
  return { summary, memoryScale: report.memoryScale };
}

/** Why a worker with this self-test takes no work that computes; null: it does. @param accepted names of checks that may have failed, or `all` */
export function ineligibleReason({ checks }: Pick<SelftestSummary, 'checks'>, accepted: readonly string[]): string | null {
  if (accepted.includes('all')) return null;
  const failed = checks.filter(({ name, verdict }) => verdict === 'FAIL' && !accepted.includes(name));
  if (failed.length === 0) return null;
  const what = failed.map(({ name, measured, bound }) => `${name}: ${measured} (bound: ${bound})`).join('; ');
  return `its self-test failed: ${what}. Run "roentgen worker selftest" on its machine, or accept the check with WORKER_ACCEPT_FAILED_CHECKS.`;
}

/** Supervisor → compute process: the variable that carries the outcome. */
export const outcomeVariable = (outcome: SelftestOutcome | null): Record<string, string> => ({
  [OUTCOME_VARIABLE]: outcome === null ? '' : JSON.stringify(outcome),
});

export function readOutcome(environment: Readonly<Record<string, string | undefined>>): SelftestOutcome | null {
  const text = environment[OUTCOME_VARIABLE] ?? '';
  return text === '' ? null : SelftestOutcomeSchema.parse(JSON.parse(text));
}
