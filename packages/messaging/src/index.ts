export { Bus, type MessageMeta, type Subscription } from './bus.js';
export { observeBus } from './bus-metrics.js';
export type { BusOptions } from './connection.js';
export { BusPermissionError, BusTimeoutError, MessageTooLargeError, NoRespondersError, RemoteError } from './errors.js';
export type { ChunkNotice, Delivery, Verdict, WorkConsumer } from './work-consumer.js';
