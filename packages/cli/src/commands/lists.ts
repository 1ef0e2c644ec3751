import { datasets, splitsOf, trainingRuns, workers } from '@roentgen/client';
import { table } from '../output.js';
import { describeMetrics } from '../run-event-line.js';
import { type CommandContext, connect } from '../session.js';

interface ListOptions {
  readonly limit: number;
}

/** `roentgen datasets`: each dataset with its newest version. */
export async function datasetsCommand(context: CommandContext, { limit }: ListOptions): Promise<void> {
  const found = await datasets(connect(context), limit);
  const list = found.map(({ id, name, latestVersion: version }) => ({
    id,
    name,
    newestVersion: version && {
      id: version.id,
      version: version.version,
      classes: version.classes,
      sampleCount: version.sampleCount,
      patientCount: version.patientCount,
      splits: splitsOf(version),
    },
  }));
  context.output.result({ datasets: list }, () =>
    table(
      ['name', 'version', 'images', 'patients', 'train/val/test', 'classes', 'id'],
      list.map(({ name, newestVersion: version }) => [
        name,
        version?.version ?? 0,
        version?.sampleCount ?? 0,
        version?.patientCount ?? 0,
        version?.splits.map((split) => split.sampleCount).join('/') ?? '',
        version?.classes.join(', ') ?? '',
        version?.id ?? '',
      ]),
    ),
  );
}

/** `roentgen runs`: training runs with their last metrics. */
export async function runsCommand(context: CommandContext, { limit }: ListOptions): Promise<void> {
  const runs = await trainingRuns(connect(context), limit);
  context.output.result({ runs }, () =>
    table(
      ['run', 'status', 'variant', 'epoch', 'step', 'model', 'validation'],
      runs.map((run) => {
        const validation = run.latestMetrics.filter(({ name }) => name === 'val/loss' || name === 'val/accuracy');
        return [
          run.id,
          run.status,
          run.recipe.variant,
          `${run.epoch}/${run.epochs}`,
          `${run.committedStep}/${run.totalSteps ?? '?'}`,
          run.model?.id ?? '',
          describeMetrics(validation),
        ];
      }),
    ),
  );
}

/** `roentgen workers`: who computes, and on what. */
export async function workersCommand(context: CommandContext): Promise<void> {
  const list = await workers(connect(context));
  context.output.result({ workers: list }, () =>
    table(
      ['name', 'online', 'state', 'device', 'self-test', 'run', 'MiB', 'id'],
      list.map((worker) => [
        worker.name,
        worker.online ? 'yes' : 'no',
        worker.state,
        `${worker.device} ${worker.deviceName}`,
        worker.selftest === null ? 'none' : `${worker.selftest.verdict}${worker.ineligibleReason === null ? '' : ': gets no work'}`,
        worker.runId ?? '',
        Math.round(worker.residentBytes / 2 ** 20),
        worker.id,
      ]),
    ),
  );
}
