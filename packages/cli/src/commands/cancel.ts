import { cancelTrainingRun } from '@roentgen/client';
import { type CommandContext, connect } from '../session.js';

/** `roentgen cancel`: asks a run to end; asking twice is asking once. */
export async function cancelCommand(context: CommandContext, runId: string): Promise<void> {
  const run = await cancelTrainingRun(connect(context), runId);
  context.output.result({ run: run.id, status: run.status }, () => `${run.id} is ${run.status}`);
}
