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

/** Of everybody to Postgres. */
export async function postgresConnections(database: Database): Promise<number> {
  const rows = await database.query('connections', `select count(*) as n from pg_stat_activity where application_name = 'roentgen'`);
  return z.tuple([z.object({ n: z.number() })]).parse(rows)[0].n;
}
