import { z } from 'zod';
import { RunEventSchema, idSchema } from '@roentgen/domain';
import { defineMessage } from '../define-message.js';

/** Gateway → coordinators: something was committed that wants attention. Lost without harm: coordinators look by themselves each second. */
export const CoordinatorWake = defineMessage({
  name: 'coordinator-wake',
  version: 1,
  parts: { fixed: ['wake', 'coordinator'], tokens: [] },
  schema: z.object({
    reason: z.enum(['run-queued', 'run-control', 'chunks-created']),
    /** The run that it is about; what is done for it belongs to the trace in the headers. */
    runId: idSchema('run').nullable().default(null),
  }),
});

/** Whoever committed run events → gateways, after the commit: consecutive rows of one run. Lost without harm: gateways read the gap from Postgres. */
export const LiveRunEvents = defineMessage({
  name: 'live-run-events',
  version: 1,
  parts: { fixed: ['live'], tokens: ['run'] },
  schema: z.object({ runId: idSchema('run'), events: z.array(RunEventSchema).min(1) }),
});
