import { downloadCsv, type RoentgenClient } from '@roentgen/client';
import { type CommandContext, connect } from '../session.js';
import { writeOutput } from '../whole-file.js';

/** `roentgen export`: the predictions of a job as a CSV file. */
export async function exportCommand(context: CommandContext, jobId: string, options: { readonly out: string }): Promise<void> {
  const rows = await writeCsv(connect(context), jobId, options.out, context.signal);
  context.output.result({ job: jobId, csv: options.out, rows }, () => `${rows} predictions in ${options.out}`);
}

/** Writes the file whole or not at all; gives the number of predictions in it. */
export async function writeCsv(client: RoentgenClient, jobId: string, path: string, signal?: AbortSignal): Promise<number> {
  const csv = await downloadCsv(client, jobId, signal);
  await writeOutput(path, csv);
  return csv.trimEnd().split('\n').length - 1;
}
