import { PostgresRunBook } from '@roentgen/coordinator';
import { EventStore, RecorderStore, RunLeaseStore, RunLifecycleStore, WorkerExclusionStore, type Database } from '@roentgen/database';
import { silentLogger } from '@roentgen/logger';

/** The runs of a database as a coordinator changes them. */
export function postgresRunBook(database: Database, options: { maxAttempts: number; workerFailures?: number }): PostgresRunBook {
  const events = new EventStore(database);
  return new PostgresRunBook({
    database,
    leases: new RunLeaseStore(database),
    lifecycle: new RunLifecycleStore(events, 'coordinator'),
    events,
    recorder: new RecorderStore(),
    exclusions: new WorkerExclusionStore(database),
    limits: { maxAttempts: options.maxAttempts },
    workerFailures: options.workerFailures ?? 1_000,
    logger: silentLogger,
  });
}
