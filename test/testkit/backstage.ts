import { Coordinator, readConfig } from '@roentgen/coordinator';
import type { GatewayConfig } from '@roentgen/gateway';
import type { StackConnections } from '@roentgen/local-stack';
import { ScriptedWorker } from './scripted-worker.js';

/** Coordinators and scripted workers on the database and the subjects of a gateway. */
export class Backstage {
  private readonly closing: { close(): Promise<void> }[] = [];

  constructor(
    private readonly stack: StackConnections,
    private readonly gateway: GatewayConfig,
  ) {}

  async startCoordinator(): Promise<Coordinator> {
    const { postgres, nats, store } = this.gateway;
    const coordinator = await Coordinator.create(
      readConfig({
        ...{
          POSTGRES_URL: postgres.url,
          POSTGRES_SCHEMA: postgres.schema,
          NATS_URL: this.stack.nats.url,
          NATS_SUBJECT_PREFIX: nats.subjectPrefix,
        },
        ...{ NATS_USER: 'coordinator', NATS_PASSWORD: this.stack.nats.users['coordinator']?.password ?? '' },
        ...{ S3_ENDPOINT: store.endpoint, S3_ACCESS_KEY: store.accessKey, S3_SECRET_KEY: store.secretKey, S3_BUCKET: store.bucket },
        ...{ LOG_LEVEL: 'silent', COORDINATOR_TICK_MS: '50', COORDINATOR_WORKER_LOST_MS: '600' },
      }),
    );
    await coordinator.start();
    this.closing.push(coordinator);
    return coordinator;
  }

  async startWorker(name: string): Promise<ScriptedWorker> {
    const { nats } = this.stack;
    const connection = { servers: [nats.url], user: 'worker', password: nats.users['worker']?.password ?? '' };
    const worker = await ScriptedWorker.start(name, { ...connection, subjectPrefix: this.gateway.nats.subjectPrefix });
    this.closing.push(worker);
    return worker;
  }

  /** Workers first: what started last is closed first. */
  async close(): Promise<void> {
    for (const part of this.closing.splice(0).reverse()) await part.close();
  }
}
