import type { ObjectStore } from '@roentgen/domain';
import { createLogger, type Logger } from '@roentgen/logger';
import { Bus } from '@roentgen/messaging';
import { S3ObjectStore } from '@roentgen/storage';
import { createTracer, type Tracer } from '@roentgen/telemetry';
import type { WorkerConfig } from '../config.js';
import { workerVersion } from '../worker-version.js';

/** What the networking thread is put together from. */
export interface NetworkContext {
  readonly logger: Logger;
  readonly bus: Bus;
  readonly store: ObjectStore;
  readonly tracer: Tracer;
}

/** Waits for the broker and the object store. @throws UnavailableError naming the one that did not come */
export async function createNetworkContext(config: WorkerConfig): Promise<NetworkContext> {
  const logger = createLogger('worker', config.logLevel).child({ workerId: config.workerId, thread: 'network' });
  const { startupTimeoutMs } = config;
  const [bus, store] = await Promise.allSettled([
    Bus.connect({ ...config.nats, role: 'worker', name: config.name, startupTimeoutMs }, logger),
    S3ObjectStore.connect({ ...config.store, startupTimeoutMs }, logger),
  ]);
  if (bus.status === 'fulfilled' && store.status === 'fulfilled') {
    const onError = (reason: string) => logger.warn({ reason }, 'traces could not be sent');
    const { tracesTo: endpoint, workerId: instance } = config;
    const tracer = await createTracer({ endpoint, service: 'worker', version: workerVersion(), instance, onError });
    return { logger, bus: bus.value, store: store.value, tracer };
  }
  if (bus.status === 'fulfilled') await bus.value.close();
  throw [bus, store].find((result) => result.status === 'rejected')?.reason;
}
