import { newId } from '@roentgen/domain';
import { NO_TRACER, type SpanOptions, type Tracer } from '@roentgen/telemetry';
import { expect, test } from 'vitest';
import { RunTraces } from './run-traces.js';

const traceOf = (digit: string) => ({ traceparent: `00-${digit.repeat(32)}-${digit.repeat(16)}-01` });

/** Notes what spans are begun with. */
function noted(): { begun: SpanOptions[]; tracer: Tracer } {
  const begun: SpanOptions[] = [];
  return { begun, tracer: { ...NO_TRACER, begin: (name, options = {}) => (begun.push(options), NO_TRACER.begin(name)) } };
}

test('an attempt belongs to the latest command for its run, until the run has ended', async () => {
  const { begun, tracer } = noted();
  const traces = new RunTraces(tracer);
  const [run, other] = [newId('run'), newId('run')];
  traces.follow(run, traceOf('1'));
  traces.follow(run, traceOf('2'));
  traces.follow(other, null);
  expect(await traces.dispatch(run, { 'roentgen.attempt.number': 1 }, () => Promise.resolve('given'))).toBe('given');
  await traces.dispatch(other, {}, () => Promise.resolve());
  traces.forget(run);
  await traces.dispatch(run, {}, () => Promise.resolve());
  expect(begun.map(({ parent }) => parent)).toEqual([traceOf('2'), null, null]);
  expect(begun[0]?.attributes).toEqual({ 'roentgen.run.id': run, 'roentgen.attempt.number': 1 });
});

test('what is remembered is bounded: the run that was asked for longest ago is forgotten first', async () => {
  const { begun, tracer } = noted();
  const traces = new RunTraces(tracer);
  const [first, second] = [newId('run'), newId('run')];
  traces.follow(first, traceOf('1'));
  traces.follow(second, traceOf('2'));
  for (let i = 0; i < 9_998; i++) traces.follow(newId('run'), traceOf('3'));
  traces.follow(first, traceOf('4'));
  traces.follow(newId('run'), traceOf('3'));
  for (const run of [first, second]) await traces.dispatch(run, {}, () => Promise.resolve());
  expect(begun.map(({ parent }) => parent)).toEqual([traceOf('4'), null]);
});
