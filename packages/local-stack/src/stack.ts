/** Subjects that a NATS user may use; everything else is refused by the broker. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

export interface NatsUser {
  readonly name: string;
  /** Without permissions the user may do everything (tests, administration). */
  readonly permissions?: NatsPermissions;
}

export type PartName = 'postgres' | 'nats' | 'store';

export interface StackOptions {
  /**
   * `durable` keeps its data, asks for passwords and writes through to the disk. `ephemeral` is for tests: no password for Postgres, nothing is
   * forced to the disk, everything is removed at the end.
   */
  readonly profile: 'durable' | 'ephemeral';
  /** Folder of a durable stack; created with mode 0700. An ephemeral one makes a temporary folder instead. */
  readonly dataDirectory?: string;
  readonly natsUsers: readonly NatsUser[];
  /** Fixed ports; a part that is not named gets a free one, a durable stack the same one again while it is free. */
  readonly ports?: Partial<Record<PartName, number>>;
  /** A MinIO server program; without it the object store is SeaweedFS. */
  readonly minioBin?: string;
  /** Bucket that the store's worker identity may read, write and list (SeaweedFS). */
  readonly bucket?: string;
  /** A part ended although nobody stopped it. */
  readonly onPartExit?: (part: PartName, reason: string) => void;
}

export interface StoreKeys {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** How to reach a running stack: plain JSON. */
export interface StackConnections {
  readonly postgres: { readonly url: string };
  readonly nats: { readonly url: string; readonly users: Readonly<Record<string, { readonly user: string; readonly password: string }>> };
  /** `accessKey` may do everything. `worker` may read, write and list `bucket`; on MinIO, which has only its root identity here, it is the same key. */
  readonly store: StoreKeys & { readonly endpoint: string; readonly worker: StoreKeys; readonly kind: 'minio' | 'seaweedfs' };
}

/** One part as fault tests see it. */
export interface StackProcess {
  readonly name: PartName;
  /** Process id while it runs. */
  readonly pid: number | undefined;
  /** Sends the signal and waits for the end of the process, except for SIGSTOP and SIGCONT, after which it goes on living. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and data; ready when the promise resolves. */
  restart(): Promise<void>;
}

export interface Stack extends StackConnections {
  readonly dataDirectory: string;
  /** Stops every part; an ephemeral stack also removes its folder. Idempotent. */
  stop(): Promise<void>;
  processes(): readonly StackProcess[];
}
