import type { Database } from '@roentgen/database';
import type { StackConnections } from '@roentgen/local-stack';
import { connect } from 'nats';
import { z } from 'zod';

/** Of all streams: `stream/consumer`, sorted. */
export async function jetstreamConsumers({ url, users }: StackConnections['nats']): Promise<string[]> {
  const admin = users['admin'];
  const connection = await connect({ servers: [url], user: admin?.user ?? '', pass: admin?.password ?? '' });
  try {
    const manager = await connection.jetstreamManager();
    const names: string[] = [];
    for await (const stream of manager.streams.list())
      for await (const consumer of manager.consumers.list(stream.config.name)) names.push(`${consumer.stream_name}/${consumer.name}`);
    return names.sort();
  } finally {
    await connection.close();
  }
}

/** Pools close what was idle for 10 s (`pg-pool`), and no statement here takes that long. */
const FORGOTTEN_AFTER_S = 20;

/** Connections to Postgres, of everybody, that nobody uses and nobody closes: taken from a pool and never given back. How many a pool has open depends on which statements coincide. */
export async function forgottenConnections(database: Database): Promise<number> {
  const rows = await database.query(
    'forgotten_connections',
    `select count(*) as n from pg_stat_activity where application_name = 'roentgen' and state_change < now() - $1 * interval '1 second'`,
    [FORGOTTEN_AFTER_S],
  );
  return z.tuple([z.object({ n: z.number() })]).parse(rows)[0].n;
}
