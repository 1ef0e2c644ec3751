// Before any decorator runs.
import 'reflect-metadata';
import type { GraphQLSchema } from 'graphql';
import { buildSchema, type BuildSchemaOptions } from 'type-graphql';
import { enforceAccess } from './graphql/access.js';
import { AccessResolver } from './modules/access/access.resolver.js';
import { DatasetResolver, DatasetVersionResolver } from './modules/dataset/dataset.resolver.js';
import { JanitorResolver } from './modules/janitor/janitor.resolver.js';
import { ModelResolver } from './modules/model/model.resolver.js';
import { PredictionResolver } from './modules/prediction/prediction.resolver.js';
import { ForkOriginResolver, ForkResolver } from './modules/training-run/fork.resolver.js';
import { TrainingRunResolver } from './modules/training-run/training-run.resolver.js';
import { WaitingResolver } from './modules/training-run/waiting.resolver.js';
import { UploadResolver } from './modules/upload/upload.resolver.js';
import { WeightSetResolver } from './modules/weight-set/weight-set.resolver.js';
import { WorkerResolver } from './modules/worker/worker.resolver.js';

const RESOLVERS: BuildSchemaOptions['resolvers'] = [
  AccessResolver,
  UploadResolver,
  DatasetResolver,
  DatasetVersionResolver,
  TrainingRunResolver,
  ForkResolver,
  ForkOriginResolver,
  WaitingResolver,
  ModelResolver,
  PredictionResolver,
  WeightSetResolver,
  WorkerResolver,
  JanitorResolver,
];

/** type-graphql wants one as soon as there is a subscription; ours bring their own source. */
const NO_PUB_SUB: NonNullable<BuildSchemaOptions['pubSub']> = {
  publish: () => {
    throw new Error('there is no PubSub: subscriptions bring their own source');
  },
  subscribe: () => {
    throw new Error('there is no PubSub: subscriptions bring their own source');
  },
};

/** The executable schema. `resolverOf` gives the instance of a resolver class; without it the schema can be printed, not run. */
export async function buildGatewaySchema(resolverOf: (type: object) => object = notRunnable): Promise<GraphQLSchema> {
  const schema = await buildSchema({ resolvers: RESOLVERS, container: { get: resolverOf }, validate: false, pubSub: NO_PUB_SUB });
  return enforceAccess(schema);
}

function notRunnable(): never {
  throw new Error('this schema was built without resolvers, to be printed');
}
