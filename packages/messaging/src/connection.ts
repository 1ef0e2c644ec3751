import { setTimeout as delay } from 'node:timers/promises';
import { ErrorCode, NatsError, connect, type NatsConnection } from 'nats';
import { InvalidInputError, UnavailableError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { inboxPrefix, type ServiceRole } from '@roentgen/protocol';

export interface BusOptions {
  /** `host:port` of each broker. */
  readonly servers: readonly string[];
  readonly user: string;
  readonly password: string;
  /** First token of every subject and start of every stream name. */
  readonly subjectPrefix: string;
  readonly role: ServiceRole;
  /** What the broker's monitoring shows this connection as. */
  readonly name: string;
  /** How long to wait for a broker that is not there yet; 0 tries once. */
  readonly startupTimeoutMs: number;
}

const ATTEMPT_TIMEOUT_MS = 5_000;
const RETRY_MS = 500;
/** A peer that vanished without closing its socket is noticed after two of these. */
const PING_INTERVAL_MS = 10_000;
const PREFIX = /^[-\w]+$/;

/**
 * Connects, waiting for a broker that is not there yet.
 * @throws UnavailableError naming the servers and the fix, when none answers in time or the user is refused
 */
export async function connectWithin(options: BusOptions, logger: Logger): Promise<NatsConnection> {
  if (!PREFIX.test(options.subjectPrefix)) {
    const message = `The subject prefix "${options.subjectPrefix}" must be one word of letters, digits, _ and -, for example roentgen.`;
    throw new InvalidInputError(message, [{ field: 'NATS_SUBJECT_PREFIX', message: 'one word of letters, digits, _ and -' }]);
  }
  const deadline = Date.now() + options.startupTimeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await connectOnce(options);
    } catch (thrown) {
      const error = coerceError(thrown);
      if (isRefusedUser(error)) throw refusedUser(options, error);
      if (Date.now() + RETRY_MS >= deadline) throw notThere(options, error);
      if (attempt % 10 === 1) logger.warn({ servers: options.servers, cause: error.message }, 'waiting for NATS');
      await delay(RETRY_MS);
    }
  }
}

function connectOnce(options: BusOptions): Promise<NatsConnection> {
  return connect({
    servers: [...options.servers],
    ...(options.user === '' ? {} : { user: options.user, pass: options.password }),
    name: options.name,
    inboxPrefix: inboxPrefix(options.role),
    timeout: ATTEMPT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noEcho: false,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RETRY_MS,
    // Two refusals in a row would close the connection for good, although the broker may be in the middle of getting its new users.
    ignoreAuthErrorAbort: true,
    // One stack trace per request costs more than the request.
    noAsyncTraces: true,
  });
}

const isRefusedUser = (error: Error) => error instanceof NatsError && error.code === ErrorCode.AuthorizationViolation;

function refusedUser({ servers, user }: BusOptions, cause: Error): UnavailableError {
  return new UnavailableError(
    `NATS at ${servers.join(', ')} refused the user "${user}". Check NATS_USER and NATS_PASSWORD against the broker's configuration.`,
    { servers, user },
    { cause },
  );
}

function notThere({ servers, startupTimeoutMs }: BusOptions, cause: Error): UnavailableError {
  return new UnavailableError(
    `NATS at ${servers.join(', ')} did not answer within ${startupTimeoutMs} ms (${cause.message}). Start the broker, or set NATS_URL to where it is.`,
    { servers, startupTimeoutMs },
    { cause },
  );
}
