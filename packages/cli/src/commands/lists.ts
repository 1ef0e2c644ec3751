import { datasets, type RoentgenClient, splitsOf, trainingRuns, watchWorkers, workers } from '@roentgen/client';
import { table } from '../output.js';
import { describeMetrics } from '../run-event-line.js';
import { type CommandContext, connect } from '../session.js';
import { describeHoldings, describeWorker } from './workers.js';

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
          run.whyWaiting == null ? run.status : `${run.status} (${run.whyWaiting.code})`,
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

/** `roentgen workers`: who computes, on what, and what each does; with `--watch` what changes of it, a line each. */
export async function workersCommand(context: CommandContext, { watch = false }: { readonly watch?: boolean }): Promise<void> {
  const client = connect(context);
  if (watch) return await followWorkers(context, client);
  const list = await workers(client);
  context.output.result({ workers: list }, () =>
    table(
      ['name', 'state', 'device', 'version', 'self-test', 'MiB', 'holds', 'id', 'why idle'],
      list.map((worker) => [
        worker.name,
        worker.online ? worker.state : 'OFFLINE',
        `${worker.device} ${worker.deviceName}`,
        worker.version,
        worker.selftest === null ? 'none' : worker.selftest.verdict,
        Math.round(worker.residentBytes / 2 ** 20),
        describeHoldings(worker.holds),
        worker.id,
        worker.whyIdle ?? '',
      ]),
    ),
  );
}

async function followWorkers({ output, signal }: CommandContext, client: RoentgenClient): Promise<void> {
  const onReconnect = (reason: string) => output.note(`connection lost (${reason}); connecting again`);
  for await (const change of watchWorkers(client, { signal, onReconnect })) {
    const gone = change.gone.map((id) => `${id} is gone`);
    output.item(change, [...change.workers.map(describeWorker), ...gone].join('\n') || 'there are no workers');
  }
  signal.throwIfAborted();
}
