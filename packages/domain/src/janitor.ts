/** DRY_RUN says what would go and changes nothing; DELETE removes it. */
export const JANITOR_MODES = ['DRY_RUN', 'DELETE'] as const;
export type JanitorMode = (typeof JANITOR_MODES)[number];

export const JANITOR_PASS_STATUSES = ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED'] as const;
export type JanitorPassStatus = (typeof JANITOR_PASS_STATUSES)[number];

/** What a janitor can find, and why it is worth a line. */
export const JANITOR_FINDING_KINDS = [
  'SPARE_CHECKPOINT', // neither one of the last nor of the best of its run, and nothing needs it
  'SPENT_UPLOAD', // a file as a client sent it, of an upload that has been inspected, imported or has expired
  'UNUSED_IMAGE', // a verified image that no upload, dataset version or prediction refers to any more
  'ORPHAN', // an object that no row refers to
  'INCOMPLETE_UPLOAD', // a multipart upload that was never completed
  'MISSING', // a row whose object is not in the store
  'FOREIGN', // a key that is none of ours
] as const;
export type JanitorFindingKind = (typeof JANITOR_FINDING_KINDS)[number];

/** REMOVE: goes, or in a dry run would; WAIT: not yet; REPORT: for a person to look at, never touched. */
export const JANITOR_ACTIONS = ['REMOVE', 'WAIT', 'REPORT', 'REMOVED'] as const;
export type JanitorAction = (typeof JANITOR_ACTIONS)[number];

export interface JanitorFinding {
  readonly key: string;
  readonly kind: JanitorFindingKind;
  readonly action: JanitorAction;
  /** Null where nobody has said. */
  readonly bytes: number | null;
  readonly reason: string;
}
