import { createHash } from 'node:crypto';
import { InvalidInputError, SPLITS, type InputIssue, type Split } from '@roentgen/domain';

/** What a split is decided from. */
export interface SampleToSplit {
  readonly fileName: string;
  readonly label: string;
  readonly patient: string;
}

/** Shares of the samples; a share of 0 leaves that split empty. They sum to 1. */
export type SplitFractions = Readonly<Record<Split, number>>;

export interface SplitOptions {
  /** Another seed gives another split of the same kind. */
  readonly seed: number;
  readonly fractions: SplitFractions;
}

interface Patient {
  readonly name: string;
  readonly labels: ReadonlySet<string>;
  readonly sampleCount: number;
}

const FRACTION_TOLERANCE = 1e-9;

/**
 * Assigns each sample to a split: all samples of a patient to the same one, each class in the wanted shares. The result depends on the seed and on the
 * set of samples, not on their order.
 *
 * Patients are put into strata by their rarest label (the one that fewest patients have). Within a stratum they come in the order of
 * SHA-256(seed, patient) and each goes to the split that lacks the largest part of its share of samples; the last ones go where a split would stay empty.
 *
 * @returns the split of each sample, in the order given
 * @throws InvalidInputError with every issue: shares that do not sum to 1, empty or duplicate fields, fewer than two classes, a class with fewer
 *   patients than non-empty splits
 */
export function splitByPatient(samples: readonly SampleToSplit[], options: SplitOptions): Split[] {
  const wanted = SPLITS.filter((split) => options.fractions[split] > 0);
  const patients = groupByPatient(samples);
  const patientsByLabel = countPatients(patients);
  refuse([...fractionIssues(options), ...sampleIssues(samples), ...classIssues(patientsByLabel, wanted)]);

  const assigned = new Map<string, Split>();
  for (const stratum of strata(patients, patientsByLabel))
    assignStratum(orderBySeed(stratum, options.seed), options.fractions, wanted, assigned);
  assertEveryClassEverywhere(patients, patientsByLabel, assigned, wanted, options.seed);
  return samples.map((sample) => assigned.get(sample.patient)!);
}

function groupByPatient(samples: readonly SampleToSplit[]): Patient[] {
  const groups = new Map<string, { labels: Set<string>; sampleCount: number }>();
  for (const { patient, label } of samples) {
    const group = groups.get(patient) ?? { labels: new Set(), sampleCount: 0 };
    group.labels.add(label);
    group.sampleCount++;
    groups.set(patient, group);
  }
  return [...groups].map(([name, group]) => ({ name, ...group }));
}

function countPatients(patients: readonly Patient[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { labels } of patients) for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

/** Patients by their rarest label, in a fixed order; labels equally rare are told apart by their text. */
function strata(patients: readonly Patient[], patientsByLabel: ReadonlyMap<string, number>): Patient[][] {
  const byLabel = new Map<string, Patient[]>();
  for (const patient of patients) {
    const [rarest] = [...patient.labels].sort((a, b) => patientsByLabel.get(a)! - patientsByLabel.get(b)! || compareText(a, b));
    byLabel.set(rarest!, [...(byLabel.get(rarest!) ?? []), patient]);
  }
  return [...byLabel].sort(([a], [b]) => compareText(a, b)).map(([, stratum]) => stratum);
}

function orderBySeed(patients: readonly Patient[], seed: number): Patient[] {
  const key = (patient: Patient) => createHash('sha256').update(`${seed}\n${patient.name}`).digest('hex');
  return patients
    .map((patient) => ({ patient, key: key(patient) }))
    .sort((a, b) => compareText(a.key, b.key))
    .map(({ patient }) => patient);
}

function assignStratum(
  ordered: readonly Patient[],
  fractions: SplitFractions,
  wanted: readonly Split[],
  assigned: Map<string, Split>,
): void {
  const total = ordered.reduce((sum, patient) => sum + patient.sampleCount, 0);
  const given = new Map<Split, number>(wanted.map((split) => [split, 0]));
  ordered.forEach((patient, index) => {
    const empty = wanted.filter((split) => given.get(split) === 0);
    const mustFillNow = ordered.length - index <= empty.length;
    const candidates = mustFillNow ? empty : wanted;
    const lack = (split: Split) => 1 - given.get(split)! / (fractions[split] * total);
    const split = candidates.reduce((best, candidate) => (lack(candidate) > lack(best) ? candidate : best));
    given.set(split, given.get(split)! + patient.sampleCount);
    assigned.set(patient.name, split);
  });
}

function fractionIssues({ fractions }: SplitOptions): InputIssue[] {
  const values = SPLITS.map((split) => fractions[split]);
  const shown = SPLITS.map((split) => `${split} ${fractions[split]}`).join(', ');
  if (values.some((value) => !(value >= 0 && value <= 1)))
    return [{ field: 'fractions', message: `each share must be from 0 to 1, got ${shown}` }];
  const sum = values.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) > FRACTION_TOLERANCE)
    return [{ field: 'fractions', message: `the shares must sum to 1, got ${shown} (sum ${Number(sum.toFixed(6))})` }];
  if (fractions.train === 0)
    return [{ field: 'fractions', message: 'the share of train must be above 0: there would be nothing to train on' }];
  return [];
}

function sampleIssues(samples: readonly SampleToSplit[]): InputIssue[] {
  const issues: InputIssue[] = [];
  const seen = new Set<string>();
  samples.forEach(({ fileName, label, patient }, index) => {
    if (seen.has(fileName))
      issues.push({ field: `samples[${index}].fileName`, message: `"${fileName}" is there twice; file names must be unique` });
    seen.add(fileName);
    if (label.trim() === '') issues.push({ field: `samples[${index}].label`, message: `"${fileName}" has no label` });
    if (patient.trim() === '')
      issues.push({
        field: `samples[${index}].patient`,
        message: `"${fileName}" has no patient; without one, leakage between splits cannot be ruled out`,
      });
  });
  return issues;
}

function classIssues(patientsByLabel: ReadonlyMap<string, number>, wanted: readonly Split[]): InputIssue[] {
  if (patientsByLabel.size < 2) {
    const found = [...patientsByLabel.keys()].map((label) => `"${label}"`).join(', ');
    return [
      {
        field: 'label',
        message: `a classifier needs at least 2 classes, found ${patientsByLabel.size}${found === '' ? '' : ` (${found})`}`,
      },
    ];
  }
  return [...patientsByLabel]
    .filter(([, patients]) => patients < wanted.length)
    .sort(([a], [b]) => compareText(a, b))
    .map(([label, patients]) => ({
      field: 'label',
      message:
        `class "${label}" has ${patients} patient${patients === 1 ? '' : 's'}, but each of the ${wanted.length} splits (${wanted.join(', ')}) needs at least one of its own. ` +
        `Add patients, leave the class out, or set the share of a split to 0.`,
    }));
}

/** Patients with several labels can leave a class out of a split although it has patients enough: then another seed is the way out. */
function assertEveryClassEverywhere(
  patients: readonly Patient[],
  patientsByLabel: ReadonlyMap<string, number>,
  assigned: ReadonlyMap<string, Split>,
  wanted: readonly Split[],
  seed: number,
): void {
  const present = new Set(patients.flatMap((patient) => [...patient.labels].map((label) => `${assigned.get(patient.name)}\n${label}`)));
  refuse(
    [...patientsByLabel.keys()].flatMap((label) =>
      wanted
        .filter((split) => !present.has(`${split}\n${label}`))
        .map((split) => ({
          field: 'seed',
          message: `seed ${seed} leaves no patient with "${label}" for ${split}: its patients also have rarer labels. Try another seed.`,
        })),
    ),
  );
}

function refuse(issues: readonly InputIssue[]): void {
  if (issues.length > 0) throw new InvalidInputError(issues.map((issue) => issue.message).join(' '), issues);
}

/** By UTF-16 code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
