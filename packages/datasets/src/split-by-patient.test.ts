import { expect, test } from 'vitest';
import { InvalidInputError, SPLITS, type Split } from '@roentgen/domain';
import { shuffledBy } from './order.js';
import { splitByPatient, type SplitFractions, type SplitSample } from './index.js';

const FRACTIONS = { train: 0.7, val: 0.15, test: 0.15 };
const SEEDS = Array.from({ length: 60 }, (_, i) => i);

/** Whole numbers from 0 below `limit`, the same for the same seed (a linear congruential generator; good enough to make up cases). */
function numbers(seed: number): (limit: number) => number {
  let state = (seed + 1) * 2654435761;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Made-up samples: `classes` classes of at least three patients, 1 to 6 images each; some patients with a second label if wanted. */
function madeUp(seed: number, options: { severalLabels: boolean }): SplitSample[] {
  const next = numbers(seed);
  const labels = ['normal', 'pneumonia', 'covid', 'effusion'].slice(0, 2 + next(3));
  return labels.flatMap((label) =>
    Array.from({ length: 3 + next(40) }, (_, patient) => ({ label, patient: `${label}-${patient}` })).flatMap(({ patient }) =>
      Array.from({ length: 1 + next(6) }, (_, image) => ({
        fileName: `${patient}-${image}.png`,
        patient,
        label: options.severalLabels && image > 0 && next(3) === 0 ? (labels[next(labels.length)] ?? label) : label,
      })),
    ),
  );
}

const splitsIn = (fractions: SplitFractions) => SPLITS.filter((split) => fractions[split] > 0);

/** The items with their places, under their keys. */
function group<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, Array<{ item: T; i: number }>> {
  const groups = new Map<string, Array<{ item: T; i: number }>>();
  items.forEach((item, i) => groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), { item, i }]));
  return groups;
}

function expectEveryClassInEverySplit(samples: readonly SplitSample[], dealt: readonly Split[], fractions: SplitFractions) {
  for (const [label, entries] of group(samples, (sample) => sample.label)) {
    expect(new Set(entries.map(({ i }) => dealt[i])), label).toEqual(new Set(splitsIn(fractions)));
  }
}

function expectPatientsWhole(samples: readonly SplitSample[], dealt: readonly Split[]) {
  for (const [patient, entries] of group(samples, (sample) => sample.patient)) {
    expect(new Set(entries.map(({ i }) => dealt[i])).size, patient).toBe(1);
  }
}

test.each([FRACTIONS, { train: 0.8, val: 0.2, test: 0 }, { train: 0.34, val: 0.33, test: 0.33 }, { train: 0.9, val: 0.05, test: 0.05 }])(
  'with %o no patient is in two splits, every class is in each, and each has about its part',
  (fractions) => {
    for (const seed of SEEDS) {
      const samples = madeUp(seed, { severalLabels: false });
      const dealt = splitByPatient(samples, { seed, fractions });
      expectPatientsWhole(samples, dealt);
      expectEveryClassInEverySplit(samples, dealt, fractions);
      for (const [label, entries] of group(samples, (sample) => sample.label)) {
        const imagesPerPatient = [...group(entries, ({ item }) => item.patient).values()].map((images) => images.length);
        const largest = Math.max(...imagesPerPatient);
        for (const split of SPLITS) {
          const beyond = entries.filter(({ i }) => dealt[i] === split).length - fractions[split] * entries.length;
          expect(beyond, `${label} in ${split}, seed ${seed}`).toBeLessThanOrEqual(largest);
          expect(beyond, `${label} in ${split}, seed ${seed}`).toBeGreaterThanOrEqual(-2 * largest);
        }
      }
    }
  },
);

test('patients who carry several labels stay whole too, and every class is in every split', () => {
  for (const seed of SEEDS) {
    const samples = madeUp(seed, { severalLabels: true });
    const dealt = splitByPatient(samples, { seed, fractions: FRACTIONS });
    expectPatientsWhole(samples, dealt);
    expectEveryClassInEverySplit(samples, dealt, FRACTIONS);
    const share = (split: Split) => dealt.filter((each) => each === split).length / samples.length;
    if (samples.length > 150) expect(Math.abs(share('train') - 0.7), `seed ${seed}`).toBeLessThan(0.1);
  }
});

test('the order of the samples does not matter', () => {
  for (const seed of SEEDS.slice(0, 20)) {
    const samples = madeUp(seed, { severalLabels: true });
    const byName = (list: readonly SplitSample[]) =>
      Object.fromEntries(splitByPatient(list, { seed, fractions: FRACTIONS }).map((split, i) => [list[i]!.fileName, split]));
    expect(byName(shuffledBy(samples, 'any', (sample) => sample.fileName))).toEqual(byName(samples));
  }
});

test('another seed deals otherwise, and all patients have a chance to be tested', () => {
  const samples = madeUp(3, { severalLabels: false });
  const patients = new Set(samples.map(({ patient }) => patient));
  const tested = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    splitByPatient(samples, { seed, fractions: FRACTIONS }).forEach((split, i) => split === 'test' && tested.add(samples[i]!.patient));
  }
  expect(tested).toEqual(patients);
});

test('a split that was made once is made the same for ever', () => {
  const samples = ['a', 'b'].flatMap((label) =>
    Array.from({ length: 5 }, (_, i) => ({ fileName: `${label}${i}.png`, label, patient: `${label}${i}` })),
  );
  const dealt = splitByPatient(samples, { seed: 42, fractions: { train: 0.6, val: 0.2, test: 0.2 } });
  expect(dealt.map((split) => split.slice(0, 2)).join(' ')).toBe('tr tr va te tr tr te va tr tr');
});

const sample = (label: string, patient: string, fileName = `${label}-${patient}.png`): SplitSample => ({ fileName, label, patient });
const enough = ['x', 'y'].flatMap((label) => ['1', '2', '3'].map((patient) => sample(label, label + patient)));

test.each<[string, SplitSample[], SplitFractions, RegExp]>([
  [
    'a class with fewer patients than splits',
    [...enough, sample('rare', 'r1'), sample('rare', 'r1', 'r1 again.png'), sample('rare', 'r2')],
    FRACTIONS,
    /The class "rare" has 2 patients \(3 images\) for the 3 splits train, val, test: each split needs a patient of each class\. Add patients, use fewer/,
  ],
  [
    'fractions that do not sum to 1',
    enough,
    { train: 0.7, val: 0.2, test: 0.2 },
    /train 0\.7, val 0\.2, test 0\.2 sum to 1\.1; they must sum to 1/,
  ],
  ['a negative fraction', enough, { train: 1.2, val: -0.2, test: 0 }, /must each be from 0 to 1/],
  ['a fraction that is no number', enough, { train: Number.NaN, val: 0.5, test: 0.5 }, /must each be from 0 to 1/],
  ['nothing to train on', enough, { train: 0, val: 0.5, test: 0.5 }, /train fraction is 0/],
  [
    'the same file name twice',
    [...enough, sample('x', 'x9', 'x-x1.png')],
    FRACTIONS,
    /The file name "x-x1\.png" of sample 6 is that of sample 0 too; file names must be unique/,
  ],
  ['one class', enough.slice(0, 3), FRACTIONS, /There is only the class "x"; at least 2 classes are needed/],
  ['no samples', [], FRACTIONS, /There are no samples/],
  [
    'no label',
    [...enough, sample(' ', 'p', 'unlabelled.png')],
    FRACTIONS,
    /The sample "unlabelled\.png" has no label; every image needs one/,
  ],
  ['no patient', [...enough, sample('x', '', 'nobody.png')], FRACTIONS, /The sample "nobody\.png" has no patient/],
])('%s is refused with value, rule and fix', (_, samples, fractions, problem) => {
  const split = () => splitByPatient(samples, { seed: 1, fractions });
  expect(split).toThrow(InvalidInputError);
  expect(split).toThrow(problem);
});

test('a seed that is none is refused', () => {
  for (const seed of [-1, 1.5, Number.NaN])
    expect(() => splitByPatient(enough, { seed, fractions: FRACTIONS })).toThrow('must be a whole number from 0');
});

test('every issue is reported, thousands of a kind in short', () => {
  const samples = Array.from({ length: 1000 }, (_, i) => sample(`label ${i}`, `p${i}`, 'same.png'));
  const refused = ((): unknown => {
    try {
      return splitByPatient(samples, { seed: -1, fractions: { train: 1, val: 1, test: 1 } });
    } catch (error) {
      return error;
    }
  })();
  expect(refused).toBeInstanceOf(InvalidInputError);
  const { issues } = refused as InvalidInputError;
  expect(new Set(issues.map(({ field }) => field.replace(/\d+/, 'N')))).toEqual(
    new Set(['seed', 'fractions', 'samples[N].fileName', 'samples']),
  );
  expect(issues.length).toBe(2 + 21 + 21);
  expect(issues.at(-1)?.message).toMatch(/^and 980 more of this kind, the next: The class "label \d+" has 1 patient \(1 image\)/);
});

test('patients whose labels leave no way are refused after all ways were tried', () => {
  // c and d must be in the same split as each other, because a and b beside them fill the two others; then "third" cannot have all three.
  const labels = { first: ['a', 'b', 'c'], second: ['a', 'b', 'd'], third: ['c', 'd', 'e'] };
  const samples = Object.entries(labels).flatMap(([label, patients]) => patients.map((patient) => sample(label, patient)));
  expect(() => splitByPatient(samples, { seed: 1, fractions: FRACTIONS })).toThrow(
    /No way was found .* 4 of 5 patients carry several labels/,
  );
});
