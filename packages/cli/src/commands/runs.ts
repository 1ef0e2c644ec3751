import {
  cancelTrainingRun,
  FailedError,
  forkTrainingRun,
  pauseTrainingRun,
  type RecipeOverridesInput,
  resumeTrainingRun,
  type RoentgenClient,
  type RunDetails,
  trainingRunDetails,
  type TrainingRun,
  trainingRun,
  watchRun,
} from '@roentgen/client';
import { table } from '../output.js';
import { describeEvent, describeMetrics } from '../run-event-line.js';
import { type CommandContext, connect } from '../session.js';
import { follow, overridesOf, type RecipeOptions } from './train.js';

export interface StopOptions {
  readonly force?: boolean;
  readonly watch?: boolean;
}

const ENDED: readonly string[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

/** `roentgen runs pause`. With `--watch` @throws FailedError (exit code 4) when the run ended before it could be paused */
export async function pauseCommand(context: CommandContext, runId: string, options: StopOptions): Promise<void> {
  const client = connect(context);
  const asked = await pauseTrainingRun(client, runId, options);
  const run = options.watch === true ? await followUntil(context, client, asked, ['PAUSED', ...ENDED]) : asked;
  showState(context, run);
  if (options.watch === true && run.status !== 'PAUSED')
    throw new FailedError(`RUN_${run.status}`, `${run.id} ${run.status} before it could be paused.`);
}

/** `roentgen runs cancel` and `roentgen cancel`. */
export async function cancelCommand(context: CommandContext, runId: string, options: StopOptions): Promise<void> {
  const client = connect(context);
  const asked = await cancelTrainingRun(client, runId, options);
  showState(context, options.watch === true ? await followUntil(context, client, asked, ENDED) : asked);
}

/** `roentgen runs resume`. */
export async function resumeCommand(
  context: CommandContext,
  runId: string,
  { watch = false }: { readonly watch?: boolean },
): Promise<void> {
  const client = connect(context);
  const run = await resumeTrainingRun(client, runId);
  if (watch) await follow(context, client, run.id, run.headSequence);
  else showState(context, run);
}

export interface ForkOptions extends Omit<RecipeOptions, 'clipNorm' | 'emaDecay' | 'layerDecay'> {
  readonly checkpoint?: 'best' | 'last';
  readonly name?: string;
  readonly watch?: boolean;
  /** False with the flag that begins with `--no-`; commander makes it true where neither was given. */
  readonly clipNorm?: number | boolean;
  readonly emaDecay?: number | boolean;
  readonly layerDecay?: number | boolean;
}

/** `roentgen runs fork`. */
export async function forkCommand(context: CommandContext, from: string, options: ForkOptions): Promise<void> {
  const client = connect(context);
  const run = await forkTrainingRun(client, {
    ...(from.startsWith('ckp_') ? { checkpointId: from } : { runId: from }),
    ...(options.checkpoint !== undefined && { checkpoint: options.checkpoint === 'best' ? 'BEST' : 'LAST' }),
    ...(options.name !== undefined && { name: options.name }),
    overrides: forkOverrides(options),
  });
  const origin = run.forkedFrom;
  const where = `from step ${origin?.step ?? '?'} of ${origin?.runId ?? from}`;
  if (options.watch !== true) {
    const result = { run: run.id, status: run.status, forkedFrom: origin };
    return context.output.result(result, () => `${run.id} is queued, ${where}; follow it with: roentgen watch ${run.id}`);
  }
  context.output.note(`${run.id} is queued, ${where}`);
  await follow(context, client, run.id, 0);
}

/** What the flags change, and nothing else. */
export function forkOverrides({ clipNorm, emaDecay, layerDecay, ...options }: ForkOptions): RecipeOverridesInput {
  return {
    ...overridesOf(options),
    ...(typeof clipNorm === 'number' && { clipNorm }),
    ...(typeof emaDecay === 'number' && { emaDecay }),
    ...(typeof layerDecay === 'number' && { layerDecay }),
    ...(clipNorm === false && { clipNorm: null }),
    ...(emaDecay === false && { emaDecay: null }),
    ...(layerDecay === false && { layerDecay: null }),
  };
}

/** `roentgen runs show`. */
export async function showRunCommand(context: CommandContext, runId: string): Promise<void> {
  const run = await trainingRunDetails(connect(context), runId);
  context.output.result({ run }, () => describeRun(run));
}

function describeRun(run: RunDetails): string {
  const { forkedFrom, whyWaiting: wait } = run;
  const facts: readonly (readonly [string, string | null | undefined])[] = [
    ['run', `${run.id} ${run.name}`],
    ['status', run.status],
    ['why it waits', wait && `${wait.code}: ${wait.message}`],
    ['reason', run.statusMessage === wait?.message ? null : run.statusMessage],
    ['epoch', `${run.epoch}/${run.epochs}`],
    ['step', `${run.committedStep}/${run.totalSteps ?? '?'}`],
    ['forked from', forkedFrom && `step ${forkedFrom.step} of ${forkedFrom.runId}`],
    ['model', run.model?.id],
    ['metrics', describeMetrics(run.latestMetrics)],
  ];
  const told = facts.filter(([, value]) => value != null && value !== '').map(([name, value]) => `${name.padEnd(12)}  ${value ?? ''}`);
  const attempts = table(
    ['attempt', 'status', 'worker', 'last step', 'why it ended'],
    run.attempts.map(({ number, status, workerName, lastStep, causeMessage }) => [
      number,
      status,
      workerName,
      lastStep,
      causeMessage ?? '',
    ]),
  );
  const checkpoints = table(
    ['epoch', 'step', 'MiB', 'checkpoint'],
    run.checkpoints.map(({ epoch, step, bytes, id }) => [epoch, step, Math.round(bytes / 2 ** 20), id]),
  );
  return [...told, ...(run.attempts.length === 0 ? [] : ['', attempts]), ...(run.checkpoints.length === 0 ? [] : ['', checkpoints])].join(
    '\n',
  );
}

function showState({ output }: CommandContext, run: TrainingRun): void {
  output.result({ run: run.id, status: run.status }, () => `${run.id} is ${run.status}`);
}

/** Notes what happens to a run until it has one of these states, and gives it then. */
async function followUntil(
  { output, signal }: CommandContext,
  client: RoentgenClient,
  run: TrainingRun,
  states: readonly string[],
): Promise<TrainingRun> {
  if (states.includes(run.status)) return run;
  const onReconnect = (reason: string) => output.note(`connection lost (${reason}); connecting again`);
  for await (const event of watchRun(client, run.id, { afterSequence: run.headSequence, signal, onReconnect })) {
    output.note(describeEvent(event));
    if (event.status != null && states.includes(event.status)) break;
  }
  signal.throwIfAborted();
  return await trainingRun(client, run.id, signal);
}
