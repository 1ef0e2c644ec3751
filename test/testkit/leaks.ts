/** Patients whose images are in more than one split; there must be none. */
export function patientsInSeveralSplits(samples: readonly { readonly patient: string; readonly split: string }[]): string[] {
  const splitOf = new Map<string, string>();
  const leaking = new Set<string>();
  for (const { patient, split } of samples) {
    if ((splitOf.get(patient) ?? split) !== split) leaking.add(patient);
    splitOf.set(patient, split);
  }
  return [...leaking].sort();
}
