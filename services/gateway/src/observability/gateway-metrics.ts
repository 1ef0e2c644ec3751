import type { Counter, Gauge, Histogram, Metrics } from '@roentgen/telemetry';

/** `refused`: the caller's doing. `failed`: ours, or that of a part that is away. */
export type OperationOutcome = 'ok' | 'refused' | 'failed';
export type Transport = 'http' | 'websocket';

/** What a gateway counts. `field` is the root field of the schema that was asked for; names that clients give are no labels. */
export class GatewayMetrics {
  readonly requests: Counter<'type' | 'field' | 'transport' | 'outcome'>;
  readonly requestSeconds: Histogram<'type' | 'field'>;
  readonly sockets: Gauge;

  /** @param subscriptions how many there are now */
  constructor(metrics: Metrics, subscriptions: () => number) {
    this.requests = metrics.counter('graphql_requests_total', 'GraphQL operations that were answered; a subscription when it begins.', [
      'type',
      'field',
      'transport',
      'outcome',
    ]);
    this.requestSeconds = metrics.histogram(
      'graphql_request_duration_seconds',
      'Time to the answer of a GraphQL operation; of a subscription, to its beginning.',
      ['type', 'field'],
    );
    this.sockets = metrics.gauge('graphql_websockets_open', 'Open WebSockets.');
    metrics.gauge('graphql_subscriptions_open', 'Live subscriptions to events of runs.', [], (gauge) => gauge.set(subscriptions()));
  }
}
