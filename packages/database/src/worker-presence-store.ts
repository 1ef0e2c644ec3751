import { uuidOf, type Device, type RunId, type SelftestSummary, type WorkerId, type WorkerRuntime } from '@roentgen/domain';
import type { Database } from './database.js';

/** What a worker last said of itself. */
export interface WorkerPresence {
  readonly workerId: WorkerId;
  readonly name: string;
  readonly version: string;
  readonly device: Device;
  readonly deviceName: string;
  readonly state: string;
  readonly runId: RunId | null;
  readonly residentBytes: number;
  readonly startedAt: string;
  /** Null: it did not tell. */
  readonly runtime: WorkerRuntime | null;
  /** How long ago it was heard, ms: the time itself would be by the coordinator's clock, and readers compare it with Postgres'. */
  readonly silentMs: number;
}

/** Writes the pool's heartbeats down, for readers and for the sweep of chunks; several coordinators may write the same ones. */
export class WorkerPresenceStore {
  constructor(private readonly db: Database) {}

  /**
   * One statement for all workers heard since the last call, in one order. A worker whose row is locked is passed over until its next heartbeat: another
   * coordinator is writing the same, or a process was stopped in a transaction on it, which is not to hold up what is known of the others.
   */
  async upsert(workers: readonly WorkerPresence[]): Promise<void> {
    if (workers.length === 0) return;
    await this.db.query(
      'upsert_workers',
      `with free as (select id from workers where id = any ($1::uuid[]) order by id for no key update skip locked)
       insert into workers (id, name, version, device, device_name, state, run_id, resident_bytes, started_at, last_seen_at,
                            memory_budget_bytes, memory_scale, intra_op_threads, inter_op_threads, xla, deterministic_ops, ineligible_reason)
       select w.id, w.name, w.version, w.device, w.device_name, w.state, r.id, w.resident_bytes, w.started_at,
              now() - w.silent_ms * interval '1 millisecond', w.memory_budget_bytes, coalesce(w.memory_scale, 1), coalesce(w.intra_op_threads, 0),
              coalesce(w.inter_op_threads, 0), coalesce(w.xla, false), coalesce(w.deterministic_ops, false), w.ineligible_reason
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[], $9::timestamptz[], $10::bigint[],
                     $11::bigint[], $12::float8[], $13::int[], $14::int[], $15::bool[], $16::bool[], $17::text[])
              as w (id, name, version, device, device_name, state, run_id, resident_bytes, started_at, silent_ms,
                    memory_budget_bytes, memory_scale, intra_op_threads, inter_op_threads, xla, deterministic_ops, ineligible_reason)
         left join training_runs r on r.id = w.run_id
        where w.id in (select id from free) or not exists (select 1 from workers known where known.id = w.id)
        order by w.id
       on conflict (id) do update
          set name = excluded.name, version = excluded.version, device = excluded.device, device_name = excluded.device_name, state = excluded.state,
              run_id = excluded.run_id, resident_bytes = excluded.resident_bytes, started_at = excluded.started_at, last_seen_at = excluded.last_seen_at,
              memory_budget_bytes = excluded.memory_budget_bytes, memory_scale = excluded.memory_scale, intra_op_threads = excluded.intra_op_threads,
              inter_op_threads = excluded.inter_op_threads, xla = excluded.xla, deterministic_ops = excluded.deterministic_ops,
              ineligible_reason = excluded.ineligible_reason
        where workers.last_seen_at < excluded.last_seen_at`,
      [
        workers.map((w) => uuidOf(w.workerId)),
        workers.map((w) => w.name),
        workers.map((w) => w.version),
        workers.map((w) => w.device),
        workers.map((w) => w.deviceName),
        workers.map((w) => w.state),
        workers.map((w) => (w.runId === null ? null : uuidOf(w.runId))),
        workers.map((w) => w.residentBytes),
        workers.map((w) => w.startedAt),
        workers.map((w) => w.silentMs),
        workers.map((w) => w.runtime?.memoryBudgetBytes ?? null),
        workers.map((w) => w.runtime?.memoryScale ?? null),
        workers.map((w) => w.runtime?.intraOpThreads ?? null),
        workers.map((w) => w.runtime?.interOpThreads ?? null),
        workers.map((w) => w.runtime?.xla ?? null),
        workers.map((w) => w.runtime?.deterministicOps ?? null),
        workers.map((w) => w.runtime?.ineligibleReason ?? null),
      ],
    );
  }

  /** The self-test of a worker's machine; one that it registered before is replaced. */
  async register(workerId: WorkerId, selftest: SelftestSummary): Promise<void> {
    await this.db.query(
      'register_worker_selftest',
      `insert into worker_selftests (worker_id, verdict, level, made_at, seconds, tensorflow_version, checks, speeds)
       values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb)
       on conflict (worker_id) do update
          set verdict = excluded.verdict, level = excluded.level, made_at = excluded.made_at, seconds = excluded.seconds,
              tensorflow_version = excluded.tensorflow_version, checks = excluded.checks, speeds = excluded.speeds, registered_at = now()`,
      [
        uuidOf(workerId),
        selftest.verdict,
        selftest.level,
        selftest.at,
        selftest.seconds,
        selftest.tensorflowVersion,
        JSON.stringify(selftest.checks),
        JSON.stringify(selftest.speeds),
      ],
    );
  }
}
