import { parse, specifiedRules, validate } from 'graphql';
import { beforeAll, expect, test } from 'vitest';
import type { GraphQLSchema } from 'graphql';
import { buildGatewaySchema } from '../schema.js';
import { LIMIT_RULES, PARSE_OPTIONS } from './limits.js';

let schema: GraphQLSchema;
beforeAll(async () => {
  schema = await buildGatewaySchema();
});

const refusals = (query: string): string[] =>
  validate(schema, parse(query, PARSE_OPTIONS), [...specifiedRules, ...LIMIT_RULES]).map((error) => error.message);
const nested = (times: number): string => `{ trainingRuns { nodes ${'{ model { run '.repeat(times)} { id } ${'} }'.repeat(times)} } }`;

test('a page of runs with everything around them is allowed', () => {
  const points = '{ name step epoch value kind occurredAt }';
  expect(
    refusals(`{ trainingRuns(first: 500) { totalCount pageInfo { hasNextPage endCursor } nodes {
      id name status statusCode statusMessage epoch epochs committedStep totalSteps headSequence createdAt startedAt finishedAt
      recipe { variant imageSizePx epochs globalBatchSize microBatchSize learningRate optimizer { kind beta1 beta2 epsilon } schedule { kind warmupSteps } }
      latestMetrics ${points} attempts { id number status workerName causeCode causeMessage } checkpoints { id epoch step bytes sha256 }
      model { id name variant classes } datasetVersion { id version classes splits { split label sampleCount patientCount } dataset { id name } } } } }`),
  ).toEqual([]);
});

test('several curves of one dashboard are allowed', () => {
  const series = Array.from({ length: 20 }, (_, i) => `s${i}: metricSeries(runId: "r") { name step value }`);
  expect(refusals(`{ ${series.join(' ')} }`)).toEqual([]);
});

test('the introspection of tools is allowed', async () => {
  const { getIntrospectionQuery } = await import('graphql');
  expect(refusals(getIntrospectionQuery())).toEqual([]);
});

test('a query that goes round in circles is refused', () => {
  expect(refusals(nested(2))).toEqual([]);
  expect(refusals(nested(20)).join()).toContain('depth limit of 10 exceeded');
});

test('circles hidden in fragments are refused too', () => {
  const fragments = Array.from({ length: 8 }, (_, i) => `fragment f${i} on TrainingRun { model { run { ...f${i + 1} } } }`);
  expect(refusals(`{ trainingRuns { nodes { ...f0 } } } ${fragments.join('\n')} fragment f8 on TrainingRun { id }`).join()).toContain(
    'depth limit',
  );
});

test('one field under many aliases is refused', () => {
  const aliases = Array.from({ length: 200 }, (_, i) => `a${i}: viewer { role }`);
  expect(refusals(`{ ${aliases.join(' ')} }`).join()).toContain('Aliases limit of 30 exceeded');
});

test('one field repeated thousands of times is refused while it is parsed', () => {
  expect(() => refusals(`{ viewer { ${'role '.repeat(30_000)} } }`)).toThrow('more that 20000 tokens');
});

test('an answer that could grow too large is refused, whether the page size is written, left out or in a variable', () => {
  const times = (field: string) => Array.from({ length: 30 }, (_, i) => `a${i}: ${field}`).join(' ');
  const rows =
    '{ nodes { id name status epoch epochs committedStep totalSteps headSequence model { id name variant classes } latestMetrics { name step epoch value kind } datasetVersion { id version classes sampleCount splits { split label sampleCount patientCount } dataset { id name } } } }';
  expect(refusals(`{ ${times(`trainingRuns ${rows}`)} }`)).toEqual([]);
  expect(refusals(`{ ${times(`trainingRuns(first: 500) ${rows}`)} }`).join()).toContain('at most 300000 are given');
  expect(refusals(`query ($n: Int!) { ${times(`trainingRuns(first: $n) ${rows}`)} }`).join()).toContain('at most 300000 are given');
  expect(refusals(`query ($n: Int!) { ${times('metricSeries(runId: "r", maxPoints: $n) { name step value }')} }`).join()).toContain(
    'at most 300000',
  );
});

test('a fragment counts as often as it is used', () => {
  const doubling = Array.from({ length: 12 }, (_, i) => `fragment f${i} on TrainingRun { ...f${i + 1} ...f${i + 1} }`);
  const names = Array.from({ length: 20 }, () => 'id name').join(' ');
  expect(refusals(`{ trainingRuns { nodes { ...f0 } } } ${doubling.join(' ')} fragment f12 on TrainingRun { ${names} }`).join()).toContain(
    'at most 300000 are given',
  );
});

test('lists without a page size count as several rows', () => {
  const page =
    'trainingRuns(first: 500) { nodes { checkpoints { id epoch step bytes sha256 } attempts { id number status workerName } latestMetrics { name value } } }';
  expect(refusals(`{ ${page} }`)).toEqual([]);
  expect(refusals(`{ ${[1, 2, 3, 4, 5, 6].map((i) => `a${i}: ${page}`).join(' ')} }`).join()).toContain('at most 300000 are given');
});
