import { WeightsFileError, listed } from '../errors.js';

/** Names of the tensors that cannot be taken, by what is wrong with them. */
export type TensorProblems = Record<keyof typeof WORDINGS, string[]>;

const WORDINGS = {
  missing: 'missing',
  unexpected: 'unexpected',
  misshapen: 'of another shape',
  notFinite: 'with values that are not finite',
  negativeVariance: 'with variances below 0',
} as const;
const KINDS = Object.keys(WORDINGS) as (keyof TensorProblems)[];
const VARIANCE = /\/moving_variance$/;

/** What the tensors were read as. */
type ReadAs = Readonly<Record<'variant' | 'source', string>>;

export const noProblems = (): TensorProblems => ({ missing: [], unexpected: [], misshapen: [], notFinite: [], negativeVariance: [] });

/** @throws WeightsFileError `WEIGHTS_MISMATCH` with all problems, of each kind the first names and their number */
export function assertNoProblems(problems: TensorProblems, said: { readonly rule: string; readonly fix?: string }, readAs: ReadAs): void {
  const found = KINDS.filter((kind) => problems[kind].length > 0);
  if (found.length === 0) return;
  const value = found.map((kind) => `${problems[kind].length} tensors ${WORDINGS[kind]} (${listed(problems[kind]).join('; ')})`).join(', ');
  const lists = Object.fromEntries(KINDS.map((kind) => [kind, listed(problems[kind])]));
  throw new WeightsFileError('WEIGHTS_MISMATCH', { value, ...said }, { details: { ...lists, ...readAs } });
}

/** NaN or an infinity; undefined where all values are numbers. */
export const firstNotFinite = (data: Float32Array): number | undefined => data.find((value) => !Number.isFinite(value));

/**
 * Whether a network can compute with the values: batch norm divides by √(variance + ε), which is no number for a variance below −ε.
 *
 * @param tensors by our names
 * @param shownName what the reader of the error knows a tensor by
 * @throws WeightsFileError `WEIGHTS_MISMATCH` listing the tensors that are not finite, and variances with a negative number, each with the first such value
 */
export function assertComputable(
  tensors: ReadonlyMap<string, { readonly data: Float32Array }>,
  shownName: (name: string) => string,
  readAs: ReadAs,
): void {
  const problems = noProblems();
  for (const [name, { data }] of tensors) {
    const notFinite = firstNotFinite(data);
    const negative = VARIANCE.test(name) ? data.find((value) => value < 0) : undefined;
    if (notFinite !== undefined) problems.notFinite.push(`${shownName(name)}: ${notFinite}`);
    else if (negative !== undefined) problems.negativeVariance.push(`${shownName(name)}: ${negative}`);
  }
  const rule = 'weights are finite numbers, and variances are not negative';
  assertNoProblems(problems, { rule, fix: 'Save the weights of a network that predicts finite numbers.' }, readAs);
}
