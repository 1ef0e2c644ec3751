import { z } from 'zod';
import { FAILURE_CAUSES, idColumn, type WorkerAttempt, type WorkerId } from '@roentgen/domain';
import type { Database, Queryable } from './database.js';

const AttemptRow = z
  .object({
    run_id: idColumn('run'),
    number: z.number(),
    status: z.string(),
    cause: z.enum(FAILURE_CAUSES).nullable(),
    cause_message: z.string().nullable(),
  })
  .transform((row): WorkerAttempt => ({
    runId: row.run_id,
    number: row.number,
    status: row.status,
    cause: row.cause,
    message: row.cause_message,
  }));

const NamedRow = z.object({ worker_name: z.string() });
const IdRow = z.object({ id: idColumn('wkr') });

/** How many of a worker's attempts are looked at; failures longer ago than a day say nothing about it now. */
const LOOK_BACK = { attempts: 20, hours: 24 };
/** The first time, doubled with each further one. */
const FIRST_EXCLUSION_MINUTES = 10;
const LONGEST_EXCLUSION_MINUTES = 24 * 60;

/** Workers that are set aside, by name: the id of a worker is new for each of its processes. */
export class WorkerExclusionStore {
  constructor(private readonly db: Database) {}

  /** The attempts that ended on a worker since it was last set aside or readmitted, newest first; without those that it refused. */
  async recentAttempts(tx: Queryable, workerName: string): Promise<WorkerAttempt[]> {
    const rows = await tx.query(
      'recent_attempts_of_worker',
      `select run_id, number, status, cause, cause_message from attempts
        where worker_name = $1 and status <> 'REFUSED' and ended_at > now() - $2 * interval '1 hour'
          and ended_at > coalesce((select greatest(set_aside_at, readmitted_at) from worker_exclusions where worker_name = $1), '-infinity')
        order by ended_at desc, id desc
        limit $3`,
      [workerName, LOOK_BACK.hours, LOOK_BACK.attempts],
    );
    return AttemptRow.array().parse(rows);
  }

  /** No attempts for it until then: 10 minutes the first time, each further time twice as long, a day at most. */
  async setAside(tx: Queryable, workerName: string, evidence: readonly WorkerAttempt[]): Promise<{ until: string }> {
    const reason = `${evidence.length} different runs failed on it in a row: ${evidence.map(({ runId, cause }) => `${runId} (${cause})`).join(', ')}.`;
    const rows = await tx.query(
      'set_worker_aside',
      `insert into worker_exclusions as e (worker_name, strikes, evidence, reason, set_aside_at, until)
       values ($1, 1, $2::jsonb, $3, now(), now() + $4 * interval '1 minute')
       on conflict (worker_name) do update
          set strikes = e.strikes + 1, evidence = excluded.evidence, reason = excluded.reason, set_aside_at = excluded.set_aside_at, readmitted_at = null,
              until = now() + least($5, $4 * power(2, least(e.strikes, 20))) * interval '1 minute'
       returning until`,
      [workerName, JSON.stringify(evidence), reason, FIRST_EXCLUSION_MINUTES, LONGEST_EXCLUSION_MINUTES],
    );
    return z.object({ until: z.string() }).parse(rows[0]);
  }

  /** Names of the workers that are set aside now, and ids of those that are drained. */
  async excluded(): Promise<{ setAside: ReadonlySet<string>; drained: ReadonlySet<WorkerId> }> {
    const setAside = await this.db.query(
      'set_aside_workers',
      'select worker_name from worker_exclusions where until > now() and readmitted_at is null',
    );
    const drained = await this.db.query(
      'drained_workers',
      `select id from workers where drained_at is not null and last_seen_at > now() - interval '1 hour'`,
    );
    return {
      setAside: new Set(
        NamedRow.array()
          .parse(setAside)
          .map((row) => row.worker_name),
      ),
      drained: new Set(
        IdRow.array()
          .parse(drained)
          .map((row) => row.id),
      ),
    };
  }

  /** Work for it again from now on, and its strikes forgotten; false when it was not set aside. */
  async readmit(tx: Queryable, workerName: string): Promise<boolean> {
    const rows = await tx.query(
      'readmit_worker',
      `update worker_exclusions set readmitted_at = now(), strikes = 1 where worker_name = $1 and until > now() and readmitted_at is null returning worker_name`,
      [workerName],
    );
    return rows.length > 0;
  }
}
