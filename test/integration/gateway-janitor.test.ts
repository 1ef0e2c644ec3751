import { expect, test } from 'vitest';
import { uuidOf } from '@roentgen/domain';
import { at, textAt, useGateway, type TestToken } from './gateway-harness.js';

const harness = useGateway();

const RUN = 'mutation ($input: RunJanitorInput!) { runJanitor(input: $input) { ok error { code } pass { id mode status } } }';
const READ = `query ($id: ID!) { janitorPass(id: $id) { id mode status truncated totals { kind action count bytes }
  findings(first: 1) { nodes { key kind action bytes reason } pageInfo { hasNextPage endCursor } totalCount } } }`;
const run = async (token: TestToken, input: object = {}) => (await harness().ask(token, RUN, { input })) as object;

test('a pass is asked for, a dry run unless said otherwise, and the same request is one', async () => {
  const admin = await harness().makeToken('admin');
  expect(await run(admin)).toMatchObject({ runJanitor: { ok: true, pass: { mode: 'DRY_RUN', status: 'QUEUED' } } });
  const key = { delete: true, idempotencyKey: 'tidy up' };
  const first = await run(admin, key);
  expect(first).toMatchObject({ runJanitor: { pass: { mode: 'DELETE' } } });
  expect(await run(admin, key)).toEqual(first);
  expect(await run(admin, { ...key, delete: false })).toMatchObject({ runJanitor: { ok: false, error: { code: 'CONFLICT' } } });
  const list = await harness().ask(admin, '{ janitorPasses { nodes { mode } totalCount } }');
  expect(list).toEqual({ janitorPasses: { nodes: [{ mode: 'DELETE' }, { mode: 'DRY_RUN' }], totalCount: 2 } });
});

test('only an admin may, and nobody sees the passes of another project', async () => {
  const admin = await harness().makeToken('admin');
  const id = textAt(await run(admin), 'runJanitor.pass.id');
  const trainer = await harness().makeToken('trainer', { projectId: admin.projectId });
  expect(at((await harness().raw(trainer, RUN, { input: {} })).body, 'errors.0.message')).toContain('janitor:run takes admin');
  expect(at((await harness().raw(trainer, READ, { id })).body, 'errors.0.message')).toContain('janitor:read takes admin');
  const stranger = await harness().makeToken('admin');
  expect(at((await harness().raw(stranger, READ, { id })).body, 'errors.0.extensions.code')).toBe('NOT_FOUND');
});

test('what a pass found is read page by page, and summed up by kind', async () => {
  const admin = await harness().makeToken('admin');
  const id = textAt(await run(admin), 'runJanitor.pass.id');
  for (const [key, bytes] of Object.entries({ a: 5, b: 6, c: null })) {
    await harness().database.query(
      'test',
      `insert into janitor_findings (pass_id, object_key, kind, action, bytes, reason) values ($1, $2, 'ORPHAN', 'REMOVE', $3, 'r')`,
      [uuidOf(`jan_${id.slice(4)}`), key, bytes],
    );
  }
  const pass = await harness().ask(admin, READ, { id });
  expect(at(pass, 'janitorPass.totals')).toEqual([{ kind: 'ORPHAN', action: 'REMOVE', count: 3, bytes: 11 }]);
  expect(at(pass, 'janitorPass.findings')).toMatchObject({
    nodes: [{ key: 'a', bytes: 5 }],
    pageInfo: { hasNextPage: true },
    totalCount: 3,
  });
  const after = textAt(pass, 'janitorPass.findings.pageInfo.endCursor');
  const rest = await harness().ask(admin, `{ janitorPass(id: "${id}") { findings(after: "${after}") { nodes { key bytes } } } }`);
  expect(at(rest, 'janitorPass.findings.nodes')).toEqual([
    { key: 'b', bytes: 6 },
    { key: 'c', bytes: null },
  ]);
});
