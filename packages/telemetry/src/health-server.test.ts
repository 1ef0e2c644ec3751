import { UnavailableError } from '@roentgen/domain';
import { afterEach, expect, test } from 'vitest';
import { HealthServer } from './health-server.js';
import { Metrics } from './metrics.js';
import { Readiness } from './readiness.js';

const open: HealthServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function serve(readiness = new Readiness({ keptMs: 0 }), port = 0): Promise<HealthServer> {
  const server = await HealthServer.start(
    { host: '127.0.0.1', port },
    { readiness, metrics: new Metrics({ service: 'worker', version: '1' }) },
  );
  if (server === null) throw new Error('an address was given');
  open.push(server);
  return server;
}

test('without an address nothing is served', async () => {
  const parts = { readiness: new Readiness(), metrics: new Metrics({ service: 'worker', version: '1' }) };
  expect(await HealthServer.start(null, parts)).toBeNull();
});

test('life, readiness and metrics have an address each; anything else is refused', async () => {
  const readiness = new Readiness({ keptMs: 0 });
  const { url } = await serve(readiness);
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });

  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  let reason: string | null = 'connection refused';
  readiness.watch([
    { name: 'postgres', needed: true, check: () => (reason === null ? Promise.resolve() : Promise.reject(new Error(reason))) },
  ]);
  readiness.started();
  const away = await fetch(`${url}/readyz?verbose`);
  expect([away.status, await away.json()]).toEqual([
    503,
    { ready: false, reason: null, dependencies: [{ name: 'postgres', needed: true, state: 'DOWN', reason: 'connection refused' }] },
  ]);
  reason = null;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  const metrics = await fetch(`${url}/metrics`);
  expect([metrics.status, metrics.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/plain; version=0.0.4')]);
  expect(await metrics.text()).toContain('process_cpu_seconds_total');

  expect((await fetch(`${url}/`)).status).toBe(404);
  expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(405);
  const head = await fetch(`${url}/readyz`, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('a port that is taken is an error that names it', async () => {
  const port = Number(new URL((await serve()).url).port);
  await expect(serve(new Readiness(), port)).rejects.toThrow(UnavailableError);
  await expect(serve(new Readiness(), port)).rejects.toThrow(new RegExp(`127\\.0\\.0\\.1:${port}.*_HEALTH_PORT`));
});
