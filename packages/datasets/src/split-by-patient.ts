import { InvalidInputError, SPLITS, type Split } from '@roentgen/domain';
import { compareCodePoints, shuffledBy } from './order.js';
import { assertCanBeSplit, type ClassTotals, type SplitFractions, type SplitOptions, type SplitSample } from './split-input.js';

/** Orders to try before giving up on patients that carry several labels; without those the first one always works. */
const MAX_ATTEMPTS = 64;

/**
 * Deals patients to splits, and each image with its patient: no patient is in two splits. Returns the split of each sample, in their order.
 *
 * Every class is in every split that is not empty, and has about the wanted part of its images in each: where every patient has one label, no class
 * has more than the target plus the images of its largest patient in a split, nor fewer than the target minus twice that.
 * The result depends on the seed, names, labels and fractions alone, not on the order of the samples.
 *
 * 1. Patients are put in the order of SHA-256(seed, attempt, patient).
 * 2. Cover: class by class, the one with the fewest patients first, each split without the class gets the next patient who has it.
 * 3. Fill: every other patient, those with most labels first, goes to the split that lacks most images of the patient's rarest class.
 * 4. Patients with several labels can make step 2 fail: then the next attempt's order is tried.
 *
 * @throws InvalidInputError with every issue: fractions that do not sum to 1, file names that occur twice, no label or patient, fewer than 2
 * classes, a class with fewer patients than splits
 */
export function splitByPatient(samples: readonly SplitSample[], options: SplitOptions): Split[] {
  const splits = SPLITS.filter((split) => options.fractions[split] > 0);
  const patients = groupByPatient(samples);
  const classes = classTotals(patients);
  assertCanBeSplit(samples, options, splits, classes);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const order = shuffledBy(patients, `${options.seed}/${attempt}`, ({ name }) => name);
    const deal = new Deal(splits, options.fractions, classes);
    if (!deal.cover(order)) continue;
    deal.fill(order);
    return samples.map(({ patient }) => deal.splitOf(patient));
  }
  throw cannotCover(splits, patients);
}

interface Patient {
  readonly name: string;
  /** Images per label. */
  readonly images: ReadonlyMap<string, number>;
}

function groupByPatient(samples: readonly SplitSample[]): Patient[] {
  const patients = new Map<string, Map<string, number>>();
  for (const { patient, label } of samples) {
    const images = patients.get(patient) ?? new Map<string, number>();
    patients.set(patient, images.set(label, (images.get(label) ?? 0) + 1));
  }
  return [...patients].map(([name, images]) => ({ name, images }));
}

/** Rarest first: by patients, then images, then name. */
function classTotals(patients: readonly Patient[]): ClassTotals[] {
  const totals = new Map<string, { patients: number; images: number }>();
  for (const { images } of patients) {
    for (const [label, count] of images) {
      const { patients: before, images: sum } = totals.get(label) ?? { patients: 0, images: 0 };
      totals.set(label, { patients: before + 1, images: sum + count });
    }
  }
  return [...totals]
    .map(([label, counts]) => ({ label, ...counts }))
    .sort((a, b) => a.patients - b.patients || a.images - b.images || compareCodePoints(a.label, b.label));
}

/** One attempt at an assignment. */
class Deal {
  private readonly assigned = new Map<string, Split>();
  /** Images that a split still lacks, per class. */
  private readonly lacking: ReadonlyMap<string, Map<Split, number>>;
  private readonly present = new Map<string, Set<Split>>();

  /** @param classes rarest first */
  constructor(
    private readonly splits: readonly Split[],
    fractions: SplitFractions,
    private readonly classes: readonly ClassTotals[],
  ) {
    this.lacking = new Map(classes.map(({ label, images }) => [label, new Map(splits.map((split) => [split, fractions[split] * images]))]));
  }

  splitOf(patient: string): Split {
    return this.assigned.get(patient) ?? 'train';
  }

  /** False when a class ran out of patients. */
  cover(order: readonly Patient[]): boolean {
    return this.classes.every(({ label }) => {
      const candidates = order.filter((patient) => patient.images.has(label));
      return this.splits.every((split) => {
        if (this.present.get(label)?.has(split) === true) return true;
        const next = candidates.find(({ name }) => !this.assigned.has(name));
        if (next !== undefined) this.assign(next, split);
        return next !== undefined;
      });
    });
  }

  fill(order: readonly Patient[]): void {
    const rest = order.filter(({ name }) => !this.assigned.has(name));
    // A stable sort keeps the shuffle within each number of labels. Those with one label come last: they even out what the others brought along.
    for (const patient of rest.sort((a, b) => b.images.size - a.images.size)) this.assign(patient, this.neediest(this.rarestOf(patient)));
  }

  private assign({ name, images }: Patient, split: Split): void {
    this.assigned.set(name, split);
    for (const [label, count] of images) {
      const lacking = this.lacking.get(label);
      lacking?.set(split, (lacking.get(split) ?? 0) - count);
      this.present.set(label, (this.present.get(label) ?? new Set<Split>()).add(split));
    }
  }

  private rarestOf({ images }: Patient): string {
    return this.classes.find(({ label }) => images.has(label))?.label ?? '';
  }

  /** The split that lacks most images of the class; of equals the first in the order train, val, test. */
  private neediest(label: string): Split {
    const lacks = (split: Split) => this.lacking.get(label)?.get(split) ?? 0;
    return this.splits.reduce((neediest, split) => (lacks(split) > lacks(neediest) ? split : neediest));
  }
}

function cannotCover(splits: readonly Split[], patients: readonly Patient[]): InvalidInputError {
  const several = patients.filter(({ images }) => images.size > 1).length;
  return new InvalidInputError(
    `No way was found to have every class in each of ${splits.join(', ')}: ${several} of ${patients.length} patients carry several labels, and all images of a patient must stay together. ` +
      `Add patients to the smallest classes, use fewer splits (set a fraction to 0), or merge classes.`,
    [{ field: 'samples', message: 'not every class can be in every split' }],
  );
}
