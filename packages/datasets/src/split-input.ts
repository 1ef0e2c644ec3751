import { InvalidInputError, type InputIssue, type Split } from '@roentgen/domain';

export interface SplitSample {
  readonly fileName: string;
  readonly label: string;
  readonly patient: string;
}

export type SplitFractions = Readonly<Record<Split, number>>;

export interface SplitOptions {
  /** Whole number from 0; another seed is another shuffle of the patients. */
  readonly seed: number;
  /** What part of the images each split shall have; they sum to 1. A split with 0 stays empty. */
  readonly fractions: SplitFractions;
}

export interface ClassTotals {
  readonly label: string;
  readonly patients: number;
  readonly images: number;
}

const FRACTION_SUM_TOLERANCE = 1e-6;
const MAX_NAMED_ISSUES = 20;

/** Checks everything at once. @throws InvalidInputError with all issues (of the same kind, the first 20) */
export function assertCanBeSplit(
  samples: readonly SplitSample[],
  options: SplitOptions,
  splits: readonly Split[],
  classes: readonly ClassTotals[],
): void {
  const issues = [...seedIssues(options), ...fractionIssues(options), ...sampleIssues(samples), ...classIssues(splits, classes)];
  if (issues.length === 0) return;
  const rest = issues.length === 1 ? '' : ` (and ${issues.length - 1} more)`;
  throw new InvalidInputError(`The samples cannot be split: ${issues[0]?.message ?? ''}${rest}`, issues);
}

function seedIssues({ seed }: SplitOptions): InputIssue[] {
  if (Number.isSafeInteger(seed) && seed >= 0) return [];
  return [{ field: 'seed', message: `The seed ${seed} must be a whole number from 0.` }];
}

function fractionIssues({ fractions }: SplitOptions): InputIssue[] {
  const { train, val, test } = fractions;
  const shown = `train ${train}, val ${val}, test ${test}`;
  if (![train, val, test].every((fraction) => fraction >= 0 && fraction <= 1)) {
    return [{ field: 'fractions', message: `The fractions ${shown} must each be from 0 to 1.` }];
  }
  const sum = train + val + test;
  if (Math.abs(sum - 1) > FRACTION_SUM_TOLERANCE) {
    return [
      {
        field: 'fractions',
        message: `The fractions ${shown} sum to ${Number(sum.toPrecision(6))}; they must sum to 1, for example 0.7, 0.15, 0.15.`,
      },
    ];
  }
  if (train === 0) return [{ field: 'fractions.train', message: `The train fraction is 0; there must be something to train on.` }];
  return [];
}

function sampleIssues(samples: readonly SplitSample[]): InputIssue[] {
  const empty = samples.flatMap((sample, i) =>
    (['fileName', 'label', 'patient'] as const)
      .filter((field) => sample[field].trim() === '')
      .map((field) => ({
        field: `samples[${i}].${field}`,
        message: `The sample ${sample.fileName === '' ? i : `"${sample.fileName}"`} has no ${field}; every image needs one.`,
      })),
  );
  return [...named(empty), ...named(duplicateIssues(samples))];
}

function duplicateIssues(samples: readonly SplitSample[]): InputIssue[] {
  const first = new Map<string, number>();
  return samples.flatMap(({ fileName }, i) => {
    const before = first.get(fileName);
    if (before === undefined) {
      first.set(fileName, i);
      return [];
    }
    return [
      {
        field: `samples[${i}].fileName`,
        message: `The file name "${fileName}" of sample ${i} is that of sample ${before} too; file names must be unique. Rename or leave out one.`,
      },
    ];
  });
}

function classIssues(splits: readonly Split[], classes: readonly ClassTotals[]): InputIssue[] {
  const few =
    classes.length >= 2
      ? []
      : [
          {
            field: 'samples',
            message: `There ${classes.length === 1 ? `is only the class "${classes[0]?.label ?? ''}"` : 'are no samples'}; at least 2 classes are needed.`,
          },
        ];
  const scarce = classes
    .filter(({ label, patients }) => label.trim() !== '' && patients < splits.length)
    .map(({ label, patients, images }) => ({
      field: 'samples',
      message:
        `The class "${label}" has ${patients} ${patients === 1 ? 'patient' : 'patients'} (${images} ${images === 1 ? 'image' : 'images'}) for the ${splits.length} splits ${splits.join(', ')}: ` +
        `each split needs a patient of each class. Add patients, use fewer splits (set a fraction to 0), or leave the class out.`,
    }));
  return [...few, ...named(scarce)];
}

/** The first few; a file with the wrong column as label would have thousands. */
function named(issues: readonly InputIssue[]): InputIssue[] {
  const rest = issues.length - MAX_NAMED_ISSUES;
  const [firstOfRest] = issues.slice(MAX_NAMED_ISSUES);
  if (firstOfRest === undefined) return [...issues];
  return [
    ...issues.slice(0, MAX_NAMED_ISSUES),
    { field: 'samples', message: `and ${rest} more of this kind, the next: ${firstOfRest.message}` },
  ];
}
