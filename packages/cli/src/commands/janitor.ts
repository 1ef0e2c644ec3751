import { janitorFindings, runJanitor, type JanitorFinding, type JanitorPass } from '@roentgen/client';
import { EXIT } from '../exit-codes.js';
import { ReportedError } from '../failure.js';
import { table } from '../output.js';
import { type CommandContext, connect } from '../session.js';

export interface JanitorOptions {
  readonly delete?: boolean;
}

/** What is shown of a long list; --json has all of it. */
const SHOWN_FINDINGS = 200;
/** A note when it takes longer, and no oftener than this. */
const NOTE_EVERY_MS = 5_000;

/**
 * `roentgen janitor`: what of the project's objects nobody needs, and with --delete its end.
 * @throws ReportedError (exit code 1) when rows refer to objects that are not in the store
 */
export async function janitorCommand(context: CommandContext, options: JanitorOptions): Promise<void> {
  const { output, signal } = context;
  const client = connect(context);
  let nextNoteMs = performance.now() + NOTE_EVERY_MS;
  const onProgress = ({ id, status, totals }: JanitorPass) => {
    if (performance.now() < nextNoteMs) return;
    nextNoteMs = performance.now() + NOTE_EVERY_MS;
    const found = totals.reduce((sum, { count }) => sum + count, 0);
    output.note(status === 'QUEUED' ? `${id} waits for a coordinator` : `${id}: ${found} findings so far`);
  };
  const pass = await runJanitor(client, { delete: options.delete === true }, { onProgress, signal });
  const findings = await janitorFindings(client, pass.id, signal);
  const { id, mode, truncated, totals } = pass;
  output.result({ pass: id, mode, truncated, totals, findings }, () => janitorReport(pass, findings));
  if (totals.some(({ kind }) => kind === 'MISSING')) throw new ReportedError(EXIT.failed);
}

/** A pass in words: each finding, then what they come to. */
export function janitorReport(pass: JanitorPass, findings: readonly JanitorFinding[]): string {
  const lines = findings.slice(0, SHOWN_FINDINGS).map(({ kind, action, bytes, key, reason }) => [kind, action, bytes ?? '?', key, reason]);
  const left = findings.length - lines.length;
  return [
    ...(lines.length === 0 ? [] : [table(['what', 'action', 'bytes', 'object', 'why'], lines)]),
    ...(left > 0 ? [`… and ${left} more; --json lists all`] : []),
    ...summary(pass),
  ].join('\n');
}

function summary({ mode, totals, truncated }: JanitorPass): string[] {
  const of = (action: string) => totals.filter((total) => total.action === action);
  const sum = (action: string) => {
    const some = of(action);
    return { count: some.reduce((all, { count }) => all + count, 0), bytes: some.reduce((all, { bytes }) => all + bytes, 0) };
  };
  const [removed, remove, wait] = [sum('REMOVED'), sum('REMOVE'), sum('WAIT')];
  const missing = totals.filter(({ kind }) => kind === 'MISSING').reduce((all, { count }) => all + count, 0);
  const objects = ({ count, bytes }: { count: number; bytes: number }) => `${count} object${count === 1 ? '' : 's'}, ${bytes} bytes`;
  return [
    mode === 'DELETE'
      ? `Removed: ${objects(removed)}`
      : `Would go: ${objects(remove)}${remove.count > 0 ? '; remove them with --delete' : ''}`,
    ...(mode === 'DELETE' && remove.count > 0 ? [`Not removed, for the next pass: ${objects(remove)}`] : []),
    ...(wait.count > 0 ? [`Not yet: ${objects(wait)}, which no row refers to`] : []),
    ...(missing > 0 ? [`Missing: ${missing} that rows refer to; restore them from a backup`] : []),
    ...(truncated ? ['There is more: run it again'] : []),
  ];
}
