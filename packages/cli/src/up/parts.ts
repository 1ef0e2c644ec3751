import { type ServiceRole, ROLE_PERMISSIONS, SERVICE_ROLES } from '@roentgen/protocol';
import { optionalText, readVariables } from '@roentgen/config';
import { type Stack, startStack } from '@roentgen/local-stack';

export interface Keys {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** How to reach the three parts that the services stand on, and what is theirs in them. */
export interface Parts {
  readonly postgres: { readonly url: string; readonly schema: string };
  readonly nats: {
    readonly url: string;
    readonly subjectPrefix: string;
    readonly users: Readonly<Record<ServiceRole, { readonly user: string; readonly password: string }>>;
  };
  readonly store: Keys & {
    readonly endpoint: string;
    readonly publicEndpoint: string;
    readonly region: string;
    readonly bucket: string;
    readonly worker: Keys;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Parts that already run somewhere are used instead of own ones. */
const PART_VARIABLES = {
  POSTGRES_URL: optionalText('a Postgres to use instead of an own one', '', { secret: true }),
  POSTGRES_SCHEMA: optionalText('schema that holds the tables', 'public'),
  NATS_URL: optionalText('a NATS server to use instead of an own one', ''),
  NATS_USER: optionalText('user on that server', ''),
  NATS_PASSWORD: optionalText('password of that user', '', { secret: true }),
  NATS_SUBJECT_PREFIX: optionalText('first token of every subject', 'roentgen'),
  S3_ENDPOINT: optionalText('an object store to use instead of an own one', ''),
  S3_PUBLIC_ENDPOINT: optionalText('the same store as clients reach it', ''),
  S3_REGION: optionalText('region name that signatures use', 'us-east-1'),
  S3_BUCKET: optionalText('bucket for everything', 'roentgen'),
  S3_ACCESS_KEY: optionalText('access key of that store', '', { secret: true }),
  S3_SECRET_KEY: optionalText('secret key of that store', '', { secret: true }),
  MINIO_BIN: optionalText('a MinIO server program for the own object store', ''),
} as const;

/** The services' NATS users, each with the subjects of its role and no others. */
export const NATS_USERS = SERVICE_ROLES.map((role) => ({ name: role, permissions: ROLE_PERMISSIONS[role] }));

export interface RunningParts {
  readonly parts: Parts;
  /** Null where every part is somebody else's. */
  readonly stack: Stack | null;
}

/**
 * Starts those of Postgres, NATS and the object store that the environment does not name, with their data in `dataDirectory`.
 * @throws StackPartError, StackInUseError, StackBinaryMissingError
 */
export async function startParts(
  environment: Environment,
  dataDirectory: string,
  onPartExit: (part: string, reason: string) => void,
): Promise<RunningParts> {
  const named = readVariables(PART_VARIABLES, environment);
  const everythingNamed = named.POSTGRES_URL !== '' && named.NATS_URL !== '' && named.S3_ENDPOINT !== '';
  const stack = everythingNamed
    ? null
    : await startStack({
        profile: 'durable',
        dataDirectory,
        natsUsers: NATS_USERS,
        bucket: named.S3_BUCKET,
        onPartExit,
        ...(named.MINIO_BIN !== '' && { minioBin: named.MINIO_BIN }),
      });
  return { parts: partsOf(named, stack), stack };
}

function partsOf(named: ReturnType<typeof readVariables<typeof PART_VARIABLES>>, stack: Stack | null): Parts {
  const namedUser = { user: named.NATS_USER, password: named.NATS_PASSWORD };
  const namedKeys = { accessKey: named.S3_ACCESS_KEY, secretKey: named.S3_SECRET_KEY };
  const ownNats = named.NATS_URL === '' ? stack?.nats : undefined;
  const ownStore = named.S3_ENDPOINT === '' ? stack?.store : undefined;
  const userOf = (role: ServiceRole) => ownNats?.users[role] ?? namedUser;
  const endpoint = ownStore?.endpoint ?? named.S3_ENDPOINT;
  const { accessKey, secretKey } = ownStore ?? namedKeys;
  return {
    postgres: { url: named.POSTGRES_URL === '' ? (stack?.postgres.url ?? '') : named.POSTGRES_URL, schema: named.POSTGRES_SCHEMA },
    nats: {
      url: ownNats?.url ?? named.NATS_URL,
      subjectPrefix: named.NATS_SUBJECT_PREFIX,
      users: { gateway: userOf('gateway'), coordinator: userOf('coordinator'), worker: userOf('worker') },
    },
    store: {
      endpoint,
      publicEndpoint: named.S3_PUBLIC_ENDPOINT === '' ? endpoint : named.S3_PUBLIC_ENDPOINT,
      region: named.S3_REGION,
      bucket: named.S3_BUCKET,
      accessKey,
      secretKey,
      worker: ownStore?.worker ?? namedKeys,
    },
  };
}

/** The environment of one service: what was set for this process, but of the parts' addresses and secrets only what its role needs. */
export function serviceEnvironment(role: ServiceRole, parts: Parts, base: Environment): Record<string, string> {
  const inherited = Object.entries(base).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(POSTGRES|NATS|S3)_/.test(entry[0]),
  );
  const { nats, store, postgres } = parts;
  const keys = role === 'worker' ? store.worker : store;
  return {
    ...Object.fromEntries(inherited),
    NATS_URL: nats.url,
    NATS_USER: nats.users[role].user,
    NATS_PASSWORD: nats.users[role].password,
    NATS_SUBJECT_PREFIX: nats.subjectPrefix,
    S3_ENDPOINT: store.endpoint,
    S3_PUBLIC_ENDPOINT: store.publicEndpoint,
    S3_REGION: store.region,
    S3_BUCKET: store.bucket,
    S3_ACCESS_KEY: keys.accessKey,
    S3_SECRET_KEY: keys.secretKey,
    ...(role !== 'worker' && { POSTGRES_URL: postgres.url, POSTGRES_SCHEMA: postgres.schema }),
  };
}
