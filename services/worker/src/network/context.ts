import type { ObjectStore } from '@roentgen/domain';
import { createLogger, type Logger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { S3ObjectStore } from '@roentgen/storage';
import type { WorkerConfig } from '../config.js';

/** What the networking thread is put together from. */
export interface NetworkContext {
  readonly logger: Logger;
  readonly bus: Bus;
  readonly store: ObjectStore;
}

/** Waits for the broker and the object store. @throws UnavailableError naming the one that did not come */
export async function createNetworkContext(config: WorkerConfig): Promise<NetworkContext> {
  const logger = createLogger('worker', config.logLevel).child({ workerId: config.workerId, thread: 'network' });
  const { startupTimeoutMs } = config;
  const [bus, store] = await Promise.allSettled([
    Bus.connect({ ...config.nats, role: 'worker', name: config.name, startupTimeoutMs }, logger),
    S3ObjectStore.connect({ ...config.store, startupTimeoutMs }, logger),
  ]);
  if (bus.status === 'fulfilled' && store.status === 'fulfilled') return { logger, bus: bus.value, store: store.value };
  if (bus.status === 'fulfilled') await bus.value.close();
  throw [bus, store].find((result) => result.status === 'rejected')?.reason;
}
