import { registerEnumType } from 'type-graphql';
import {
  AUGMENTATION_PRESETS,
  AUGMENTATION_PRESET_NAMES,
  CHECK_VERDICTS,
  CLASS_WEIGHTINGS,
  DEVICES,
  EFFICIENTNET_VARIANT_NAMES,
  FAILURE_CAUSES,
  FREEZE_LIMITS,
  JANITOR_ACTIONS,
  JANITOR_FINDING_KINDS,
  JANITOR_MODES,
  JANITOR_PASS_STATUSES,
  JOB_STATUSES,
  METRIC_KINDS,
  OPTIMIZER_KINDS,
  PRECISIONS,
  ROLES,
  RUN_EVENT_KINDS,
  RUN_STATUSES,
  SCHEDULE_KINDS,
  SELFTEST_LEVELS,
  SELFTEST_VERDICTS,
  SPLITS,
  UPLOAD_FILE_STATUSES,
  UPLOAD_PURPOSES,
  UPLOAD_STATUSES,
  WAIT_CODES,
  WEIGHT_SET_STATUSES,
  WORKER_OBSTACLES,
  type AugmentationRecipe,
} from '@roentgen/domain';
import { ATTEMPT_STATUSES, WORKER_HOLDINGS } from '@roentgen/database';
import { WORKER_STATES } from '@roentgen/protocol';

type EnumObject = Record<string, string>;

/** A GraphQL enum over the words of the domain; GraphQL writes them in capitals. */
function graphqlEnum(name: string, words: readonly string[], description: string): EnumObject {
  const values = Object.fromEntries(words.map((word) => [word.toUpperCase(), word]));
  registerEnumType(values, { name, description });
  return values;
}

export const RoleEnum = graphqlEnum(
  'Role',
  ROLES,
  'What a token may do in its project; each role includes the ones before it: viewer, analyst, trainer, admin.',
);
export const SplitEnum = graphqlEnum('Split', SPLITS, 'Part of a dataset version; grouped by patient.');
export const UploadStatusEnum = graphqlEnum(
  'UploadStatus',
  UPLOAD_STATUSES,
  'OPEN takes files; INSPECTING: workers look at them; READY can be used; EXPIRED: can no longer, such as an upload whose weights were imported.',
);
export const UploadPurposeEnum = graphqlEnum(
  'UploadPurpose',
  UPLOAD_PURPOSES,
  'IMAGES, for datasets and predictions; WEIGHTS: one file for importWeights.',
);
export const UploadFileStatusEnum = graphqlEnum(
  'UploadFileStatus',
  UPLOAD_FILE_STATUSES,
  'Only VERIFIED files can enter a dataset version.',
);
export const RunStatusEnum = graphqlEnum('RunStatus', RUN_STATUSES, 'SUCCEEDED, FAILED and CANCELLED are final.');
export const RunEventKindEnum = graphqlEnum(
  'RunEventKind',
  RUN_EVENT_KINDS,
  'What happened to a run. The last event is RUN_SUCCEEDED, RUN_FAILED or RUN_CANCELLED.',
);
export const AttemptStatusEnum = graphqlEnum('AttemptStatus', ATTEMPT_STATUSES, 'How one try of a worker at a run stands or ended.');
export const FailureCauseEnum = graphqlEnum('FailureCause', FAILURE_CAUSES, 'Why an attempt ended before its run did.');
export const CheckpointChoiceEnum = graphqlEnum(
  'CheckpointChoice',
  ['best', 'last'],
  'BEST: the one with the lowest validation loss; LAST: the one that the run would go on from.',
);
export const MetricKindEnum = graphqlEnum('MetricKind', METRIC_KINDS, 'The value is null unless it is FINITE.');
export const JobStatusEnum = graphqlEnum('JobStatus', JOB_STATUSES, 'SUCCEEDED and FAILED are final.');
export const WeightSetStatusEnum = graphqlEnum(
  'WeightSetStatus',
  WEIGHT_SET_STATUSES,
  'READY can be trained from; READY and FAILED are final.',
);
export const DeviceEnum = graphqlEnum('Device', DEVICES, 'What a worker computes on.');
export const SelftestVerdictEnum = graphqlEnum('SelftestVerdict', SELFTEST_VERDICTS, 'FAIL: at least one check failed.');
export const SelftestLevelEnum = graphqlEnum(
  'SelftestLevel',
  SELFTEST_LEVELS,
  'QUICK: smaller images, fewer steps, and an end after a set time.',
);
export const CheckVerdictEnum = graphqlEnum('CheckVerdict', CHECK_VERDICTS, 'SKIPPED: was not tried, for the reason that is told.');
export const WorkerStateEnum = graphqlEnum('WorkerState', WORKER_STATES, 'What a worker last said that it does.');
export const WorkerHoldingEnum = graphqlEnum('WorkerHoldingKind', WORKER_HOLDINGS, 'A run, or a chunk of other work.');
export const WorkerObstacleEnum = graphqlEnum(
  'WorkerObstacleCode',
  WORKER_OBSTACLES,
  'What keeps a worker from a run. REFUSED: it did not take one a moment ago; TAKEN: it is being given another; TOO_SMALL: of memory.',
);
export const WaitCodeEnum = graphqlEnum(
  'WaitCode',
  WAIT_CODES,
  'Why a run does not go on. BACKING_OFF: until it is tried again; NO_ELIGIBLE_WORKER: workers are there, and none may be given it; STORE_FULL, STORE_AWAY, DATABASE_FULL: its worker holds it where it is until that is over; WORKER_LEAVING: asked to pause or cancel, it still ends its step.',
);
export const PrecisionEnum = graphqlEnum(
  'Precision',
  PRECISIONS,
  'Number format of convolutions and activations: IEEE single precision, its upper half, IEEE half precision.',
);
export const VariantEnum = graphqlEnum(
  'EfficientNetVariant',
  EFFICIENTNET_VARIANT_NAMES,
  'Tan & Le 2019, table 1; LITE0 is the authors’ network for small devices.',
);
export const BatchNormEnum = graphqlEnum(
  'BatchNormMode',
  ['batch', 'frozen'],
  'BATCH: each micro-batch’s own statistics; FROZEN: the running ones of the starting weights.',
);
export const ScheduleKindEnum = graphqlEnum(
  'LearningRateSchedule',
  SCHEDULE_KINDS,
  'After the warm-up: unchanged, or down to finalFraction along a half cosine, or by the same factor each step.',
);
export const OptimizerKindEnum = graphqlEnum(
  'OptimizerKind',
  OPTIMIZER_KINDS,
  'ADAM: Kingma & Ba 2015; ADAMW: with decoupled weight decay, Loshchilov & Hutter 2019; SGD: with momentum, Sutskever et al. 2013.',
);
export const ClassWeightingEnum = graphqlEnum(
  'ClassWeighting',
  CLASS_WEIGHTINGS,
  'BALANCED: in the loss every class counts the same, whatever its share of the train split.',
);
function presetText(ranges: AugmentationRecipe): string {
  return Object.entries(ranges)
    .map(([name, range]) => `${name} ${range}`)
    .join(', ');
}

export const AugmentationPresetEnum = graphqlEnum(
  'AugmentationPreset',
  AUGMENTATION_PRESET_NAMES,
  `LIGHT: what differs between two X-rays of one chest (${presetText(AUGMENTATION_PRESETS.light)}).`,
);
export const FreezeLimitEnum = graphqlEnum('FreezeLimit', FREEZE_LIMITS, 'HEAD: all layers before the classifier are frozen.');
export const JanitorModeEnum = graphqlEnum('JanitorMode', JANITOR_MODES, 'DRY_RUN says what would go and changes nothing.');
export const JanitorPassStatusEnum = graphqlEnum('JanitorPassStatus', JANITOR_PASS_STATUSES, 'SUCCEEDED and FAILED are final.');
export const JanitorFindingKindEnum = graphqlEnum(
  'JanitorFindingKind',
  JANITOR_FINDING_KINDS,
  'SPARE_CHECKPOINT: not one of the last or the best of its run, and nothing needs it; SPENT_UPLOAD: a file as it was sent, whose upload is over; ' +
    'UNUSED_IMAGE: a verified image that nothing refers to any more; ORPHAN: an object that no row refers to; INCOMPLETE_UPLOAD: an upload in parts that ' +
    'was never completed; MISSING: a row whose object is not in the store; FOREIGN: a key that this program does not use.',
);
export const JanitorActionEnum = graphqlEnum(
  'JanitorAction',
  JANITOR_ACTIONS,
  'REMOVE: goes, or in a dry run would; WAIT: not yet; REPORT: for a person to look at, never touched; REMOVED: is gone.',
);
export const OnRejectedEnum = graphqlEnum(
  'OnRejected',
  ['FAIL', 'SKIP'],
  'What to do about files that inspection rejected: refuse and list them, or leave them out.',
);
