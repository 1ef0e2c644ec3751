import type { FinishedRunLog, RunLifecycleStore, RunStore, TrainingRunRecord } from '@roentgen/database';
import { ConflictError, decideCommand, parseId, type Actor, type RunCommand, type RunEvent } from '@roentgen/domain';
import { answer } from '../../graphql/payload.js';
import type { Announcer } from '../announcer.js';
import type { Repeatable } from '../repeatable.js';
import type { CancelTrainingRunInput, PauseTrainingRunInput, ResumeTrainingRunInput } from './training-run.input.js';
import type { CancelTrainingRunPayload, PauseTrainingRunPayload, ResumeTrainingRunPayload } from './training-run.type.js';
import { unknownRun } from './training-run-service.js';

export interface RunCommandParts {
  readonly runs: RunStore;
  readonly lifecycle: RunLifecycleStore;
  readonly announcer: Announcer;
  readonly repeatable: Repeatable;
  readonly finishedRuns: Pick<FinishedRunLog, 'note'>;
}

interface CommandInput {
  readonly runId: string;
  readonly idempotencyKey?: string | null;
}

/** What users do to a run that is there. The run machine decides; asking twice is asking once. */
export class RunCommands {
  constructor(private readonly parts: RunCommandParts) {}

  cancel(actor: Actor, input: CancelTrainingRunInput): Promise<CancelTrainingRunPayload> {
    const why = { code: 'CANCELLED_BY_USER', message: `Cancelled by token "${actor.tokenName}".` };
    return answer(async () => ({
      run: await this.command(actor, 'cancel_training_run', input, { kind: 'CANCEL', force: input.force, why }),
    }));
  }

  pause(actor: Actor, input: PauseTrainingRunInput): Promise<PauseTrainingRunPayload> {
    const why = { code: 'PAUSED_BY_USER', message: `Paused by token "${actor.tokenName}".` };
    return answer(async () => ({
      run: await this.command(actor, 'pause_training_run', input, { kind: 'PAUSE', force: input.force, why }),
    }));
  }

  resume(actor: Actor, input: ResumeTrainingRunInput): Promise<ResumeTrainingRunPayload> {
    const why = { code: 'RESUMED_BY_USER', message: `Resumed by token "${actor.tokenName}".` };
    return answer(async () => ({ run: await this.command(actor, 'resume_training_run', input, { kind: 'RESUME', why }) }));
  }

  /** @throws NotFoundError, ConflictError, InvalidInputError */
  private async command(actor: Actor, operation: string, input: CommandInput, command: RunCommand): Promise<TrainingRunRecord> {
    const { runs, lifecycle, repeatable, announcer, finishedRuns } = this.parts;
    const runId = parseId('run', input.runId, 'runId');
    let recorded: RunEvent[] = [];
    await repeatable.once(actor, operation, input, async (tx) => {
      if ((await runs.lock(tx, actor.projectId, runId)) === null) throw unknownRun(runId);
      const state = await lifecycle.load(tx, runId);
      if (state === null) throw unknownRun(runId);
      const decision = decideCommand(state, command);
      if (!decision.ok) throw new ConflictError(decision.message, { runId, status: state.status });
      recorded = await lifecycle.record(tx, runId, decision);
      return runId;
    });
    announcer.live(runId, recorded);
    finishedRuns.note(recorded);
    if (recorded.length > 0) announcer.wake('run-control', runId);
    const [run] = await runs.byIds(actor.projectId, [runId]);
    if (run === undefined) throw unknownRun(runId);
    return run;
  }
}
