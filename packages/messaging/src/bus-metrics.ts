import type { Metrics } from '@roentgen/telemetry';
import type { Bus } from './bus.js';

/** Whether the connection stands, and how often it came back. */
export function observeBus(bus: Pick<Bus, 'connected' | 'onReconnect'>, metrics: Metrics): void {
  metrics.gauge('nats_connected', '1 while the connection to NATS stands.', [], (gauge) => gauge.set(bus.connected ? 1 : 0));
  const reconnects = metrics.counter('nats_reconnects_total', 'Connections to NATS that were lost and came back.');
  bus.onReconnect(() => reconnects.inc());
}
