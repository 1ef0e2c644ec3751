import { expect, test } from 'vitest';
import { setUp } from '@roentgen/gateway';
import { testConfig } from './gateway-harness.js';

test('set-up migrates, makes the bucket, and an admin token once', async () => {
  const config = testConfig();
  const [one, two] = await Promise.all([
    setUp(config, { ensureAdminToken: true, sessionTokenHours: null }),
    setUp(config, { ensureAdminToken: true, sessionTokenHours: 2 }),
  ]);
  expect([one.adminToken, two.adminToken].filter((made) => made !== null)).toHaveLength(1);
  expect([...one.migrations, ...two.migrations]).toContain('000001-skeleton.sql');
  expect([one.sessionToken, two.sessionToken]).toEqual([null, expect.stringMatching(/^rgt_/)]);
  expect(await setUp(config, { ensureAdminToken: true, sessionTokenHours: null })).toEqual({
    migrations: [],
    adminToken: null,
    sessionToken: null,
  });
});
