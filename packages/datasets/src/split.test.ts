import { describe, expect, test } from 'vitest';
import { InvalidInputError, SPLITS, type Split } from '@roentgen/domain';
import { splitByPatient, type SampleToSplit } from './split.js';

const FRACTIONS = { train: 0.7, val: 0.15, test: 0.15 };

/** `patients` of a class with 1 to 4 images each. */
function classOf(label: string, patients: number): SampleToSplit[] {
  return Array.from({ length: patients }, (_, p) =>
    Array.from({ length: 1 + (p % 4) }, (_, i) => ({ fileName: `${label}-${p}-${i}.png`, label, patient: `${label}-${p}` })),
  ).flat();
}
const SAMPLES = [...classOf('normal', 60), ...classOf('pneumonia', 40), ...classOf('covid', 5)];

const share = (samples: readonly SampleToSplit[], splits: readonly Split[], split: Split, label: string): number => {
  const ofClass = samples.flatMap((sample, i) => (sample.label === label ? [splits[i]] : []));
  return ofClass.filter((s) => s === split).length / ofClass.length;
};

describe.each(Array.from({ length: 25 }, (_, seed) => seed))('seed %i', (seed) => {
  const splits = splitByPatient(SAMPLES, { seed, fractions: FRACTIONS });

  test('no patient is in two splits', () => {
    const byPatient = new Map<string, Set<Split>>();
    SAMPLES.forEach((sample, i) => byPatient.set(sample.patient, (byPatient.get(sample.patient) ?? new Set()).add(splits[i]!)));
    expect([...byPatient].filter(([, found]) => found.size > 1)).toEqual([]);
  });

  test('every class is in every split, the large ones within 5 points of the share', () => {
    for (const split of SPLITS) {
      for (const label of ['normal', 'pneumonia', 'covid'])
        expect(share(SAMPLES, splits, split, label), `${label} in ${split}`).toBeGreaterThan(0);
      for (const label of ['normal', 'pneumonia'])
        expect(Math.abs(share(SAMPLES, splits, split, label) - FRACTIONS[split])).toBeLessThan(0.05);
    }
  });

  test('the order of the samples does not matter', () => {
    const turned = SAMPLES.toReversed();
    expect(splitByPatient(turned, { seed, fractions: FRACTIONS }).reverse()).toEqual(splits);
  });
});

test('another seed gives another split', () => {
  const of = (seed: number) => splitByPatient(SAMPLES, { seed, fractions: FRACTIONS });
  expect(of(1)).not.toEqual(of(2));
  expect(of(1)).toEqual(of(1));
});

test('a patient with two labels stays whole and counts for the rarer one', () => {
  const both = [...SAMPLES, { fileName: 'x1.png', label: 'normal', patient: 'covid-0' }];
  const splits = splitByPatient(both, { seed: 3, fractions: FRACTIONS });
  const ofPatient = new Set(both.flatMap((sample, i) => (sample.patient === 'covid-0' ? [splits[i]] : [])));
  expect(ofPatient.size).toBe(1);
});

test('a split with share 0 stays empty', () => {
  const splits = splitByPatient(SAMPLES, { seed: 0, fractions: { train: 0.8, val: 0.2, test: 0 } });
  expect(new Set(splits)).toEqual(new Set(['train', 'val']));
});

describe('refused, with every issue at once', () => {
  const issues = (samples: SampleToSplit[], fractions = FRACTIONS): string[] => {
    try {
      splitByPatient(samples, { seed: 0, fractions });
    } catch (error) {
      if (error instanceof InvalidInputError) return error.issues.map((issue) => issue.message);
      throw error;
    }
    return [];
  };

  test('a class with fewer patients than splits', () => {
    expect(issues([...classOf('normal', 10), ...classOf('covid', 2)])).toEqual([
      'class "covid" has 2 patients, but each of the 3 splits (train, val, test) needs at least one of its own. Add patients, leave the class out, or set the share of a split to 0.',
    ]);
  });

  test('shares that do not sum to 1, duplicate files, missing patients, a single class', () => {
    const found = issues([...classOf('normal', 4), ...classOf('normal', 1), { fileName: 'y.png', label: 'normal', patient: ' ' }], {
      train: 0.7,
      val: 0.2,
      test: 0.2,
    });
    expect(found).toHaveLength(4);
    expect(found.join('\n')).toMatch(/sum to 1, got train 0\.7, val 0\.2, test 0\.2 \(sum 1\.1\)/);
    expect(found.join('\n')).toMatch(/"normal-0-0\.png" is there twice/);
    expect(found.join('\n')).toMatch(/"y\.png" has no patient/);
    expect(found.join('\n')).toMatch(/at least 2 classes, found 1 \("normal"\)/);
  });
});
