import { expect, test } from 'vitest';
import { Metrics } from './metrics.js';

const newMetrics = () => new Metrics({ service: 'gateway', version: '1.2.3' });
const lines = async (metrics: Metrics) => (await metrics.text()).split('\n').filter((line) => !line.startsWith('#') && line !== '');

test('counters, gauges and histograms come out in the text format, with the prefix of this system', async () => {
  const metrics = newMetrics();
  metrics.counter('steps_total', 'Steps.', ['part']).inc({ part: 'a"b' }, 2);
  metrics.gauge('outbox_events', 'Waiting.').set(7);
  metrics.histogram('turn_duration_seconds', 'Turns.', [], [0.5, 1]).observe(0.7);
  expect(await lines(metrics)).toEqual([
    'roentgen_build_info{service="gateway",version="1.2.3"} 1',
    'roentgen_steps_total{part="a\\"b"} 2',
    'roentgen_outbox_events 7',
    'roentgen_turn_duration_seconds_bucket{le="0.5"} 0',
    'roentgen_turn_duration_seconds_bucket{le="1"} 1',
    'roentgen_turn_duration_seconds_bucket{le="+Inf"} 1',
    'roentgen_turn_duration_seconds_sum 0.7',
    'roentgen_turn_duration_seconds_count 1',
  ]);
  expect(metrics.contentType).toContain('version=0.0.4');
});

test('a gauge that cannot be found out has no value, is counted, and leaves the others alone', async () => {
  const metrics = newMetrics();
  let away = false;
  metrics.gauge('runs_open', 'Runs.', ['state'], async (gauge) => {
    gauge.set({ state: 'QUEUED' }, 3);
    await Promise.resolve();
    if (away) throw new Error('the database is away');
  });
  metrics.gauge('owned', 'Owned.', [], (gauge) => {
    if (away) throw new Error('away');
    gauge.set(1);
  });
  expect(await lines(metrics)).toEqual(expect.arrayContaining(['roentgen_runs_open{state="QUEUED"} 3', 'roentgen_owned 1']));
  away = true;
  const during = await lines(metrics);
  expect(during.filter((line) => /runs_open\{state|owned \d/.test(line))).toEqual([]);
  expect(during).toContain('roentgen_build_info{service="gateway",version="1.2.3"} 1');
  away = false;
  const after = await lines(metrics);
  expect(after).toEqual(expect.arrayContaining(['roentgen_runs_open{state="QUEUED"} 3', 'roentgen_owned 1']));
  expect(after).toContain('roentgen_metrics_collect_errors_total{metric="roentgen_runs_open"} 1');
});

test('a value that never comes does not hold up the others for ever', async () => {
  const metrics = newMetrics();
  metrics.gauge('hanging', 'Hangs.', [], () => new Promise(() => undefined));
  expect(await lines(metrics)).toContain('roentgen_build_info{service="gateway",version="1.2.3"} 1');
});

test.each([
  ['a counter without _total', (m: Metrics) => m.counter('steps', 'x')],
  ['a histogram in no base unit', (m: Metrics) => m.histogram('turn_milliseconds', 'x')],
  ['a name that is none', (m: Metrics) => m.gauge('Open-Runs', 'x')],
])('%s is refused', (_what, make) => {
  expect(() => make(newMetrics())).toThrow(RangeError);
});

test('the process is told about only when somebody wants to know, and once', async () => {
  const metrics = newMetrics();
  expect(await metrics.text()).not.toContain('process_resident_memory_bytes');
  metrics.includeProcess();
  metrics.includeProcess();
  const text = await metrics.text();
  for (const name of ['process_resident_memory_bytes', 'process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds'])
    expect(text).toContain(`\n${name} `);
});
