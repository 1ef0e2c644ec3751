import { drainWorker, readmitWorker, type RoentgenClient, type Worker, watchWorkers, workers } from '@roentgen/client';
import { UsageError } from '../failure.js';
import { type CommandContext, connect } from '../session.js';

/** `roentgen workers drain`; with `--watch` until it holds nothing. */
export async function drainCommand(
  context: CommandContext,
  idOrName: string,
  { watch = false }: { readonly watch?: boolean },
): Promise<void> {
  const client = connect(context);
  const asked = await drainWorker(client, await findWorker(client, idOrName));
  showWorker(context, watch ? await untilFree(context, client, asked) : asked);
}

/** `roentgen workers readmit`. */
export async function readmitCommand(context: CommandContext, idOrName: string): Promise<void> {
  const client = connect(context);
  showWorker(context, await readmitWorker(client, await findWorker(client, idOrName)));
}

/** The id of the worker that is meant; of several of a name the one that is online. @throws UsageError when that is none, or several */
async function findWorker(client: RoentgenClient, idOrName: string): Promise<string> {
  if (idOrName.startsWith('wkr_')) return idOrName;
  const named = (await workers(client)).filter(({ name }) => name === idOrName);
  const online = named.filter((worker) => worker.online);
  const [found, ...others] = online.length > 0 ? online : named;
  if (found === undefined) throw new UsageError(`There is no worker named "${idOrName}": \`roentgen workers\` lists them.`);
  if (others.length === 0) return found.id;
  throw new UsageError(
    `${others.length + 1} workers are named "${idOrName}": give the id, ${[found, ...others].map(({ id }) => id).join(' or ')}.`,
  );
}

/** A worker that is gone holds nothing either. */
async function untilFree({ output, signal }: CommandContext, client: RoentgenClient, worker: Worker): Promise<Worker> {
  let latest = worker;
  const onReconnect = (reason: string) => output.note(`connection lost (${reason}); connecting again`);
  for await (const change of watchWorkers(client, { signal, onReconnect })) {
    const seen = change.workers.find(({ id }) => id === worker.id);
    if (seen !== undefined) output.note(describeWorker(seen));
    latest = seen ?? latest;
    if (change.gone.includes(worker.id) || isFree(latest)) return latest;
  }
  signal.throwIfAborted();
  return latest;
}

/** `state` tells of work for other projects too. */
const isFree = ({ online, state, holds }: Worker): boolean =>
  !online || (holds.length === 0 && state !== 'TRAINING' && state !== 'PREDICTING');

function showWorker({ output }: CommandContext, worker: Worker): void {
  output.result({ worker: worker.id, name: worker.name, state: worker.state, drainedAt: worker.drainedAt, holds: worker.holds }, () =>
    describeWorker(worker),
  );
}

/** A worker in one line. */
export function describeWorker(worker: Worker): string {
  const { name, online, state, holds, whyIdle } = worker;
  return [name.padEnd(16), online ? state : 'OFFLINE', describeHoldings(holds), whyIdle ?? ''].filter((part) => part !== '').join('  ');
}

/** `run_…, 2 INSPECTION` */
export function describeHoldings(holds: Worker['holds']): string {
  const runs = holds.flatMap(({ runId }) => (runId === null ? [] : [runId]));
  const kinds = [...new Set(holds.filter(({ runId }) => runId === null).map(({ kind }) => kind))];
  return [...runs, ...kinds.map((kind) => `${holds.filter((held) => held.kind === kind).length} ${kind}`)].join(', ');
}
