import { z } from 'zod';

/** One thing that was tried on this machine. */
export const CheckSchema = z.object({
  name: z.string(),
  verdict: z.enum(['PASS', 'FAIL', 'SKIPPED']),
  /** What came out, in words; for SKIPPED why it was not tried. */
  measured: z.string(),
  /** What would have been good enough, in words. */
  bound: z.string(),
  /** The numbers behind the words; null for one that is not finite or cannot be known here. */
  values: z.record(z.string(), z.union([z.number(), z.string(), z.null()])),
});
export type Check = z.output<typeof CheckSchema>;

type Outcome = Omit<Check, 'verdict' | 'values'> & Partial<Pick<Check, 'values'>>;

/** A check whose verdict is that something holds. */
export function checkThat(holds: boolean, { values = {}, ...outcome }: Outcome): Check {
  return { ...outcome, verdict: holds ? 'PASS' : 'FAIL', values };
}

/** A check that value ≤ bound; NaN is above every bound. */
export function checkAtMost(name: string, value: number, bound: number, note = ''): Check {
  return checkThat(value <= bound, {
    name,
    measured: `${value.toExponential(2)}${note}`,
    bound: `≤ ${bound.toExponential(0)}`,
    values: { value: Number.isFinite(value) ? value : null, bound },
  });
}

export const failed = (name: string, reason: string, bound = 'runs to its end'): Check => ({
  name,
  verdict: 'FAIL',
  measured: reason,
  bound,
  values: {},
});

export const skipped = (name: string, reason: string): Check => ({ name, verdict: 'SKIPPED', measured: reason, bound: '', values: {} });

export interface Summary {
  readonly verdict: 'PASS' | 'FAIL';
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The whole is good when nothing failed and something was tried. */
export function summarize(checks: readonly Check[]): Summary {
  const count = (verdict: Check['verdict']) => checks.filter((check) => check.verdict === verdict).length;
  const counts = { passed: count('PASS'), failed: count('FAIL'), skipped: count('SKIPPED') };
  return { verdict: counts.failed === 0 && counts.passed > 0 ? 'PASS' : 'FAIL', ...counts };
}

/** Exit code of the self-test. */
export const exitCodeOf = ({ verdict }: Summary): number => (verdict === 'PASS' ? 0 : 1);
