/**
 * How live run events should travel from the recorder to gateways: core NATS, or a JetStream stream with an ordered consumer per gateway. Both carry
 * the same messages in the same run, in turn; the figure is the time from publish to delivery, and for JetStream also to the acknowledgement.
 *
 *   npm run benchmark -- live-fanout --json
 */
import { StorageType, connect, nanos, type NatsConnection } from 'nats';
import { startStack } from '@roentgen/local-stack';

const ROUNDS = 5;
const MESSAGES = 400;
const PAYLOAD = Buffer.alloc(600, 'x'); // about one event

interface Round {
  readonly deliveredMs: number[];
  readonly publishedMs: number[];
}

/** Sends one message after the other, each when the one before has arrived. */
async function pingPong(publish: (index: number) => Promise<void>, delivered: (index: number) => Promise<void>): Promise<Round> {
  const round: Round = { deliveredMs: [], publishedMs: [] };
  for (let i = 0; i < MESSAGES; i++) {
    const start = performance.now();
    const arrival = delivered(i).then(() => round.deliveredMs.push(performance.now() - start));
    await publish(i);
    round.publishedMs.push(performance.now() - start);
    await arrival;
  }
  return round;
}

/** Turns deliveries into promises, one per message. */
function mailbox() {
  const waiting: (() => void)[] = [];
  return { deliver: () => waiting.shift()?.(), next: () => new Promise<void>((resolve) => waiting.push(resolve)) };
}

async function coreRound(publisher: NatsConnection, gateway: NatsConnection): Promise<Round> {
  const box = mailbox();
  const subscription = gateway.subscribe('bench.core', { callback: () => box.deliver() });
  await gateway.flush();
  const round = await pingPong(async () => publisher.publish('bench.core', PAYLOAD), box.next);
  subscription.unsubscribe();
  return round;
}

async function jetStreamRound(publisher: NatsConnection, gateway: NatsConnection): Promise<Round> {
  const box = mailbox();
  const consumer = await gateway.jetstream().consumers.get('BENCH', { filterSubjects: 'bench.stream' });
  const messages = await consumer.consume({ callback: () => box.deliver() });
  const stream = publisher.jetstream();
  const round = await pingPong(async () => void (await stream.publish('bench.stream', PAYLOAD)), box.next);
  await messages.close();
  return round;
}

const percentile = (values: number[], p: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * p)] ?? Number.NaN;
const summary = (rounds: Round[], pick: (round: Round) => number[]) => {
  const all = rounds.flatMap(pick);
  return { p50Ms: Number(percentile(all, 0.5).toFixed(3)), p99Ms: Number(percentile(all, 0.99).toFixed(3)) };
};

const stack = await startStack({ profile: 'ephemeral', natsUsers: [{ name: 'admin' }], bucket: 'bench', onPartExit: () => undefined });
try {
  const { admin } = stack.nats.users;
  const open = () => connect({ servers: stack.nats.url, user: admin?.user ?? '', pass: admin?.password ?? '' });
  const [publisher, gateway] = [await open(), await open()];
  const manager = await publisher.jetstreamManager();
  await manager.streams.add({ name: 'BENCH', subjects: ['bench.stream'], max_age: nanos(600_000), storage: StorageType.Memory });
  const core: Round[] = [];
  const stream: Round[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    core.push(await coreRound(publisher, gateway));
    stream.push(await jetStreamRound(publisher, gateway));
  }
  console.log(
    JSON.stringify({
      case: 'live-fanout',
      unit: 'ms per message',
      messages: ROUNDS * MESSAGES,
      coreDelivered: summary(core, (r) => r.deliveredMs),
      corePublished: summary(core, (r) => r.publishedMs),
      jetStreamDelivered: summary(stream, (r) => r.deliveredMs),
      jetStreamPublished: summary(stream, (r) => r.publishedMs),
    }),
  );
  await publisher.close();
  await gateway.close();
} finally {
  await stack.stop();
}
