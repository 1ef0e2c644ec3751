import { GraphQLObjectType, GraphQLSchema, GraphQLString, graphql } from 'graphql';
import { expect, test } from 'vitest';
import { newId, type Actor } from '@roentgen/domain';
import { buildGatewaySchema } from '../schema.js';
import { actionOf, enforceAccess, rootFields } from './access.js';

const actor = (role: Actor['role']): Actor => ({ tokenId: newId('tok'), tokenName: 'someone', projectId: newId('prj'), role });

test('every field of Query, Mutation and Subscription declares an action that exists', async () => {
  const fields = rootFields(await buildGatewaySchema());
  expect(fields.length).toBeGreaterThan(25);
  expect(fields.filter((field) => actionOf(field) === null).map((field) => field.name)).toEqual([]);
});

test('what changes something takes more than a viewer', async () => {
  const mutations = Object.values((await buildGatewaySchema()).getMutationType()?.getFields() ?? {});
  expect(mutations.map((field) => field.name).sort()).toEqual([
    'addUploadFiles',
    'cancelTrainingRun',
    'completeUpload',
    'createApiToken',
    'createUpload',
    'drainWorker',
    'finalizeDataset',
    'forkTrainingRun',
    'importWeights',
    'pauseTrainingRun',
    'readmitWorker',
    'resumeTrainingRun',
    'revokeApiToken',
    'runJanitor',
    'startPrediction',
    'startTrainingRun',
  ]);
  expect(mutations.filter((field) => /:read$/.test(actionOf(field) ?? '')).map((field) => field.name)).toEqual([]);
});

test('a field without an action is refused even to an admin; one with an action asks for its role', async () => {
  const field = (extensions: Record<string, unknown>) => ({ type: GraphQLString, extensions, resolve: () => 'done' });
  const schema = enforceAccess(
    new GraphQLSchema({
      query: new GraphQLObjectType({
        name: 'Query',
        fields: {
          open: field({ action: 'run:read' }),
          trainers: field({ action: 'run:start' }),
          forgotten: field({}),
          misspelt: field({ action: 'run:raed' }),
        },
      }),
    }),
  );
  const ask = async (source: string, role: Actor['role']) => {
    const { data, errors } = await graphql({ schema, source, contextValue: { actor: actor(role) } });
    return errors?.[0]?.message ?? Object.values(data ?? {})[0];
  };
  expect(await ask('{ open }', 'viewer')).toBe('done');
  expect(await ask('{ trainers }', 'viewer')).toContain('has the role viewer; run:start takes trainer');
  expect(await ask('{ trainers }', 'trainer')).toBe('done');
  expect(await ask('{ forgotten }', 'admin')).toBe('Nobody may use forgotten: it declares no action.');
  expect(await ask('{ misspelt }', 'admin')).toBe('Nobody may use misspelt: it declares no action.');
});
