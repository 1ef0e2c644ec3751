import { uuidOf, type Device, type RunId, type WorkerId } from '@roentgen/domain';
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
  /** How long ago it was heard, ms: the time itself would be by the coordinator's clock, and readers compare it with Postgres'. */
  readonly silentMs: number;
}

/** Writes the pool's heartbeats down, for readers and for the sweep of chunks; several coordinators may write the same ones. */
export class WorkerPresenceStore {
  constructor(private readonly db: Database) {}

  /** One statement for all workers heard since the last call, in one order, so that two coordinators that write the same ones only wait. */
  async upsert(workers: readonly WorkerPresence[]): Promise<void> {
    if (workers.length === 0) return;
    await this.db.query(
      'upsert_workers',
      `insert into workers (id, name, version, device, device_name, state, run_id, resident_bytes, started_at, last_seen_at)
       select w.id, w.name, w.version, w.device, w.device_name, w.state, r.id, w.resident_bytes, w.started_at,
              now() - w.silent_ms * interval '1 millisecond'
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[], $9::timestamptz[], $10::bigint[])
              as w (id, name, version, device, device_name, state, run_id, resident_bytes, started_at, silent_ms)
         left join training_runs r on r.id = w.run_id
        order by w.id
       on conflict (id) do update
          set name = excluded.name, version = excluded.version, device = excluded.device, device_name = excluded.device_name, state = excluded.state,
              run_id = excluded.run_id, resident_bytes = excluded.resident_bytes, started_at = excluded.started_at, last_seen_at = excluded.last_seen_at
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
      ],
    );
  }
}
