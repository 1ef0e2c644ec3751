import { setTimeout as delay } from 'node:timers/promises';
import {
  AckPolicy,
  DeliverPolicy,
  ErrorCode,
  NatsError,
  RetentionPolicy,
  StorageType,
  nanos,
  type JetStreamManager,
  type NatsConnection,
} from 'nats';
import { UnavailableError, coerceError } from '@roentgen/domain';
import { CHUNK_KINDS, ChunkAvailable, type ChunkKind } from '@roentgen/protocol';
import { streamName, type Subjects } from './subjects.js';

const SECOND_MS = 1_000;
/** A message that no worker took for a day announces a chunk that nobody waits for; a coordinator announces open ones again. */
const MAX_AGE_MS = 24 * 3600 * SECOND_MS;
const DUPLICATE_WINDOW_MS = 120 * SECOND_MS;
/** A worker that says nothing for this long has lost the message to another. */
export const ACK_WAIT_MS = 60 * SECOND_MS;

const STREAM_EXISTS_DIFFERENTLY = 10058;
const READY_ATTEMPTS = 20;
const READY_RETRY_MS = 500;

/** Creates the stream and one durable pull consumer per kind of chunk, or brings them to this configuration. Safe when coordinators race. */
export async function ensureWorkQueue(connection: NatsConnection, subjectPrefix: string, subjects: Subjects): Promise<void> {
  const manager = await whenReady(() => connection.jetstreamManager());
  await whenReady(() => ensureStream(manager, subjectPrefix, subjects));
  for (const kind of CHUNK_KINDS) await whenReady(() => ensureConsumer(manager, subjectPrefix, subjects, kind));
}

async function ensureStream(manager: JetStreamManager, subjectPrefix: string, subjects: Subjects): Promise<void> {
  const name = streamName(subjectPrefix);
  const config = {
    subjects: [subjects.of(ChunkAvailable.pattern())],
    storage: StorageType.File,
    max_age: nanos(MAX_AGE_MS),
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
  };
  try {
    await manager.streams.add({ ...config, name, retention: RetentionPolicy.Workqueue });
  } catch (thrown) {
    if (!(thrown instanceof NatsError) || thrown.api_error?.err_code !== STREAM_EXISTS_DIFFERENTLY) throw thrown;
    await manager.streams.update(name, config);
  }
}

async function ensureConsumer(manager: JetStreamManager, subjectPrefix: string, subjects: Subjects, kind: ChunkKind): Promise<void> {
  await manager.consumers.add(streamName(subjectPrefix), {
    durable_name: kind,
    filter_subject: subjects.of(ChunkAvailable.subject(kind)),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(ACK_WAIT_MS),
    // The row in Postgres counts attempts and gives up on a chunk; the queue never does.
    max_deliver: -1,
  });
}

/** A broker answers pings some time before its JetStream has recovered or elected a leader. */
async function whenReady<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (thrown) {
      if (!isNotReady(thrown)) throw thrown;
      if (attempt === READY_ATTEMPTS) throw noJetStream(coerceError(thrown));
      await delay(READY_RETRY_MS);
    }
  }
}

const isNotReady = (thrown: unknown) =>
  thrown instanceof NatsError && (thrown.code === ErrorCode.JetStreamNotEnabled || thrown.api_error?.code === 503);

function noJetStream(cause: Error): UnavailableError {
  return new UnavailableError(
    `The broker has no working JetStream (${cause.message}). Start nats-server with a "jetstream" section, or wait for its cluster to elect a leader.`,
    {},
    { cause },
  );
}
