import { once } from 'node:events';
import { CloseCode } from 'graphql-ws';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { newId, uuidOf } from '@roentgen/domain';
import { rawGraphql } from '../testkit/graphql-client.js';
import { at, textAt, useGateway } from './gateway-harness.js';

const harness = useGateway();

const codeOf = (answer: { body: unknown }) => at(answer.body, 'errors.0.extensions.code');

test('without a valid token nothing is answered over HTTP, not even the schema', async () => {
  const { url } = harness();
  const expired = await harness().makeToken('admin', { expiresInHours: -1 });
  for (const token of [undefined, 'x', `rgt_${'a'.repeat(43)}`, expired.token]) {
    for (const query of ['{ viewer { role } }', '{ __schema { types { name } } }', 'not graphql']) {
      const answer = await rawGraphql(url, query, token === undefined ? {} : { token });
      expect(answer.status).toBe(401);
      expect(answer.body.data).toBeUndefined();
      expect(codeOf(answer)).toBe('UNAUTHENTICATED');
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  }
});

test('without a valid token a WebSocket is closed with 4403', async () => {
  const { url } = harness();
  for (const payload of [undefined, {}, { authorization: 'Bearer nonsense' }, { authorization: 7 }]) {
    const socket = new WebSocket(url.replace('http', 'ws'), 'graphql-transport-ws');
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', ...(payload && { payload }) }));
    const [code] = await once(socket, 'close');
    expect(code).toBe(CloseCode.Forbidden);
  }
});

test('an operation before the greeting closes the WebSocket', async () => {
  const socket = new WebSocket(harness().url.replace('http', 'ws'), 'graphql-transport-ws');
  await once(socket, 'open');
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{ viewer { role } }' } }));
  const [code] = await once(socket, 'close');
  expect(code).toBe(CloseCode.Unauthorized);
});

test('a WebSocket anywhere else is refused and harms nobody', async () => {
  const base = harness().url.replace('http', 'ws').replace('/graphql', '');
  for (const path of ['/', '//', '/graphql/x', '/%zz']) {
    const [error] = await once(new WebSocket(`${base}${path}`), 'error');
    expect(String(error)).toContain('404');
  }
  expect((await fetch(`${base.replace('ws', 'http')}/healthz`)).status).toBe(200);
});

test('health and readiness are for everyone, and everything has a request id', async () => {
  const base = harness().url.replace('/graphql', '');
  expect(await (await fetch(`${base}/healthz`)).json()).toEqual({ ok: true });
  const ready = await fetch(`${base}/readyz`, { headers: { 'x-request-id': 'my-id' } });
  expect([ready.status, await ready.json(), ready.headers.get('x-request-id')]).toEqual([
    200,
    {
      ready: true,
      dependencies: [
        { name: 'postgres', needed: true, state: 'UP' },
        { name: 'postgres-space', needed: false, state: 'UP' },
        { name: 'nats', needed: true, state: 'UP' },
        { name: 'store', needed: false, state: 'UP' },
      ],
    },
    'my-id',
  ]);
  const missing = await fetch(`${base}/elsewhere`, { headers: { 'x-request-id': 'not fit for a log\tline' } });
  expect(missing.status).toBe(404);
  expect(missing.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
});

test('the viewer is the token with its role and project', async () => {
  const token = await harness().makeToken('analyst');
  expect(await harness().ask(token, '{ viewer { tokenName role project { id name } } }')).toEqual({
    viewer: { tokenName: 'test analyst', role: 'ANALYST', project: { id: token.projectId, name: 'A project of a test' } },
  });
});

test('a role that is too small is told which one it takes, and nothing happens', async () => {
  const viewer = await harness().makeToken('viewer');
  const answer = await harness().raw(viewer, 'mutation { createUpload(input: {}) { ok } }');
  expect(at(answer.body, 'errors.0')).toMatchObject({
    message: 'Token "test viewer" has the role viewer; upload:write takes analyst in the same project.',
    extensions: { code: 'FORBIDDEN', requestId: answer.headers.get('x-request-id') },
  });
  const trainer = await harness().makeToken('trainer', { projectId: viewer.projectId });
  expect(codeOf(await harness().raw(trainer, '{ apiTokens { nodes { name } } }'))).toBe('FORBIDDEN');
});

test('tokens are made, shown once, used, listed without their secret, and end when revoked', async () => {
  const admin = await harness().makeToken('admin');
  const made = await harness().ask(
    admin,
    'mutation { createApiToken(input: { name: "notebook", role: VIEWER, expiresInHours: 1 }) { ok token apiToken { id name role expiresAt } } }',
  );
  const token = textAt(made, 'createApiToken.token');
  expect(token).toMatch(/^rgt_[\w-]{43}$/);
  const maker = { token, projectId: admin.projectId };
  expect(await harness().ask(maker, '{ viewer { tokenName role } }')).toEqual({ viewer: { tokenName: 'notebook', role: 'VIEWER' } });

  const stored = await harness().database.query('stored', 'select * from api_tokens');
  expect(JSON.stringify(stored)).not.toContain(token);
  expect(
    at(await harness().ask(admin, '{ apiTokens(first: 1) { totalCount nodes { name } pageInfo { hasNextPage } } }'), 'apiTokens'),
  ).toEqual({
    totalCount: 2,
    nodes: [{ name: 'notebook' }],
    pageInfo: { hasNextPage: true },
  });

  const revoke = `mutation { revokeApiToken(input: { tokenId: "${textAt(made, 'createApiToken.apiToken.id')}" }) { ok apiToken { revokedAt } } }`;
  const first = textAt(await harness().ask(admin, revoke), 'revokeApiToken.apiToken.revokedAt');
  expect(textAt(await harness().ask(admin, revoke), 'revokeApiToken.apiToken.revokedAt')).toBe(first);
  expect((await harness().raw(maker, '{ viewer { role } }')).status).toBe(401);
});

test('a token of another project is not found', async () => {
  const [mine, theirs] = [await harness().makeToken('admin'), await harness().makeToken('admin')];
  const tokenId = textAt(await harness().ask(theirs, '{ viewer { tokenId } }'), 'viewer.tokenId');
  const answer = await harness().ask(mine, `mutation { revokeApiToken(input: { tokenId: "${tokenId}" }) { ok error { code } } }`);
  expect(answer).toEqual({ revokeApiToken: { ok: false, error: { code: 'NOT_FOUND' } } });
  expect(await harness().ask(theirs, '{ viewer { role } }')).toEqual({ viewer: { role: 'ADMIN' } });
});

test('a request that a foreign web page could make is refused', async () => {
  const { token } = await harness().makeToken('viewer');
  const answer = await rawGraphql(harness().url, '{ viewer { role } }', { token, headers: { 'content-type': 'text/plain' } });
  expect(answer.status).toBe(400);
  const get = await fetch(`${harness().url}?query=%7Bviewer%7Brole%7D%7D`, { headers: { authorization: `Bearer ${token}` } });
  expect(get.status).toBe(400);
  expect(await get.text()).toContain('CSRF');
});

test('a hostile operation is refused over HTTP and over WebSocket alike', async () => {
  const token = await harness().makeToken('viewer');
  const deep = `{ trainingRuns { nodes ${'{ model { run '.repeat(12)} { id } ${'} }'.repeat(12)} } }`;
  const aliases = `{ ${Array.from({ length: 500 }, (_, i) => `a${i}: viewer { role }`).join(' ')} }`;
  const long = `{ viewer { ${'role '.repeat(25_000)} } }`;
  const huge = `query ($n: Int!) { ${Array.from({ length: 30 }, (_, i) => `a${i}: metricSeries(runId: "r", maxPoints: $n) { name step value }`).join(' ')} }`;
  const client = harness().socket(token);
  for (const [query, message] of [
    [deep, 'depth limit'],
    [aliases, 'Aliases limit'],
    [long, 'more that 20000 tokens'],
    [huge, 'at most 300000'],
  ] as const) {
    const answer = await harness().raw(token, query, { n: 10_000 });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body.errors)).toContain(message);
    expect(answer.body.data).toBeUndefined();
    await expect(client.iterate({ query, variables: { n: 10_000 } }).next()).rejects.toMatchObject([
      { message: expect.stringContaining(message) },
    ]);
  }
  await client.dispose();
});

test('batches, bodies that are too large and bodies that are no JSON are refused', async () => {
  const { token } = await harness().makeToken('viewer');
  const post = (body: string) =>
    fetch(harness().url, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` }, body });
  expect((await post(JSON.stringify([{ query: '{ viewer { role } }' }]))).status).toBe(400);
  const large = await post(JSON.stringify({ query: `# ${'x'.repeat(2_200_000)}\n{ viewer { role } }` }));
  expect([large.status, at(await large.json(), 'errors.0.extensions.code')]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  const broken = await post('{"query": ');
  expect([broken.status, at(await broken.json(), 'errors.0.extensions.code')]).toEqual([400, 'BAD_REQUEST']);
});

test('an unexpected error is told with an id only', async () => {
  const run = await harness().makeRun();
  await harness().database.query(
    'break',
    `update training_runs set recipe = '{"variant": "no such"}' where project_id = (select id from projects where id = $1)`,
    [run.projectId.slice(4)],
  );
  const answer = await harness().raw(run, '{ trainingRuns { nodes { id } } }');
  expect(answer.body.errors).toMatchObject([
    { message: 'internal error', extensions: { code: 'INTERNAL', requestId: answer.headers.get('x-request-id') } },
  ]);
  const client = harness().socket(run);
  const overSocket = await client.iterate({ query: '{ trainingRuns { nodes { id } } }' }).next();
  expect(at(overSocket.value, 'errors.0.message')).toBe('internal error');
  expect(JSON.stringify(overSocket.value)).not.toContain('variant');
  await client.dispose();
});

test('ids that are truncated, of another kind or unknown are told apart from what exists', async () => {
  const token = await harness().makeToken('viewer');
  const ask = async (id: string) =>
    at((await harness().raw(token, 'query ($id: ID!) { trainingRun(id: $id) { id } }', { id })).body, 'errors.0');
  expect(await ask('run_0190')).toMatchObject({
    message: '"run_0190" is not a valid id: expected run_ followed by 32 hex digits.',
    extensions: { code: 'INVALID_INPUT' },
  });
  expect(await ask(newId('ds'))).toMatchObject({ extensions: { code: 'INVALID_INPUT' } });
  expect(await ask("run_' or 1=1 --")).toMatchObject({ extensions: { code: 'INVALID_INPUT' } });
  expect(await ask(newId('run'))).toMatchObject({
    message: expect.stringContaining('There is no training run'),
    extensions: { code: 'NOT_FOUND' },
  });
});

test('a character that cannot be stored, and a cursor that was made up, are told as wrong input', async () => {
  const token = await harness().makeToken('admin');
  const nul = await harness().raw(token, 'query ($name: String!) { datasetByName(name: $name) { id } }', { name: 'a\u0000b' });
  expect(at(nul.body, 'errors.0')).toMatchObject({
    message: 'name contains the character U+0000, which cannot be stored. Leave it out.',
    extensions: { code: 'INVALID_INPUT' },
  });
  const input = { name: 'x', role: 'VIEWER', idempotencyKey: '\u0000' };
  const inMutation = await harness().raw(token, 'mutation ($input: CreateApiTokenInput!) { createApiToken(input: $input) { ok } }', {
    input,
  });
  expect(at(inMutation.body, 'errors.0.message')).toContain('input.idempotencyKey contains the character U+0000');

  for (const key of [
    ['o', 2 ** 40],
    ['t', '2026-13-01 00:00:00+00', uuidOf(newId('run'))],
    ['t', '2026-02-30 00:00:00+00', uuidOf(newId('run'))],
  ]) {
    const after = Buffer.from(JSON.stringify(key)).toString('base64url');
    const answer = await harness().raw(token, 'query ($after: String) { datasets(after: $after) { nodes { id } } }', { after });
    expect(codeOf(answer)).toBe('INVALID_INPUT');
  }
});
