import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { operationLabel } from './operation-label.js';

const labelOf = (text: string, name?: string) => operationLabel(parse(text), name);

test('an operation is known by its root field, whatever the client calls it', () => {
  expect(labelOf('query Mine { mine: trainingRuns { nodes { id } } }')).toEqual({ type: 'query', field: 'trainingRuns' });
  expect(labelOf('mutation { startTrainingRun(input: {}) { ok } }')).toEqual({ type: 'mutation', field: 'startTrainingRun' });
  expect(labelOf('subscription S { trainingRunEvents(runId: "r") { sequence } }')).toEqual({
    type: 'subscription',
    field: 'trainingRunEvents',
  });
});

test('a field behind fragments counts, aliases of one field are one', () => {
  expect(labelOf('{ ...A } fragment A on Query { ... on Query { viewer { role } } }')).toEqual({ type: 'query', field: 'viewer' });
  expect(labelOf('{ a: viewer { role } b: viewer { role } }')).toEqual({ type: 'query', field: 'viewer' });
});

test('several fields are one label, and so is everything about the schema', () => {
  expect(labelOf('{ viewer { role } workers { nodes { id } } }').field).toBe('several');
  expect(labelOf('{ __schema { types { name } } __typename }').field).toBe('introspection');
});

test('of several operations the one that is named counts; without a name none is known', () => {
  const document = 'query A { viewer { role } } mutation B { createUpload(input: {}) { ok } }';
  expect(labelOf(document, 'B')).toEqual({ type: 'mutation', field: 'createUpload' });
  expect(labelOf(document)).toEqual({ type: 'unknown', field: 'unknown' });
});
