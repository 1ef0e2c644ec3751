import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BindingError, FeedError, SessionError } from '../errors.js';
import { Graph } from '../graph/graph.js';
import type { Node } from '../graph/graph.js';
import * as ops from '../graph/ops/index.js';
import { expectDType } from '../graph/tensor.js';
import { loadBinding } from './binding.js';
import type { TensorFlowBinding } from './binding.js';
import { EagerInterpreter } from './eager.js';
import { Session } from './session.js';

/** A counter with a variable, and an image operation whose kernel aborts the process when it is fed a scalar. */
function sampleGraph() {
  const graph = new Graph();
  const counter = ops.variable(graph, 'counter', [4]);
  const value = graph.placeholder('value', 'float32', [4]);
  const set = graph.endpoint('set', { value }, { done: done(graph, ops.assign(graph, counter, ops.deepCopy(graph, value))) });
  const get = graph.endpoint('get', {}, { value: expectDType(ops.identity(graph, ops.read(graph, counter)), 'float32') });
  const amount = graph.placeholder('amount', 'float32', [4]);
  const increase = graph.endpoint(
    'increase',
    { amount },
    { done: done(graph, ops.assign(graph, counter, ops.add(graph, ops.read(graph, counter), amount))) },
  );
  const images = graph.placeholder('images', 'uint8', [1, 4, 4, 1]);
  const floats = ops.cast(graph, images, 'float32');
  const kernel = graph.constant('float32', [3, 3, 1, 1], new Float32Array(9).fill(1));
  const blur = graph.endpoint(
    'blur',
    { images },
    { sums: expectDType(ops.convolution(graph, 'full', floats, kernel, { stride: 1, padding: 'same' }), 'float32') },
  );
  return { compiled: graph.compile(), set, get, increase, blur };
}

function done(graph: Graph, assignment: Node) {
  return expectDType(ops.identity(graph, graph.scalar(1), { controls: [assignment] }), 'float32');
}

const graph = sampleGraph();
const four = (...values: [number, number, number, number]) => ({ data: Float32Array.from(values), shape: [4] });
let binding: TensorFlowBinding;
let session: Session;

beforeAll(() => {
  binding = loadBinding();
  session = Session.load(binding, graph.compiled);
});
afterAll(() => session.close());

test('a variable that has no value yet is an error, and the session goes on', () => {
  const fresh = Session.load(binding, graph.compiled);
  expect(() => fresh.run(graph.get, {})).toThrow(SessionError);
  fresh.run(graph.set, { value: four(1, 2, 3, 4) });
  expect(fresh.run(graph.get, {}).value).toEqual(Float32Array.of(1, 2, 3, 4));
  fresh.close();
});

test('assignments take effect, sessions do not share variables', () => {
  const other = Session.load(binding, graph.compiled);
  session.run(graph.set, { value: four(1, 1, 1, 1) });
  other.run(graph.set, { value: four(0, 0, 0, 0) });
  session.run(graph.increase, { amount: four(1, 2, 3, 4) });
  expect(session.run(graph.get, {}).value).toEqual(Float32Array.of(2, 3, 4, 5));
  expect(other.run(graph.get, {}).value).toEqual(Float32Array.of(0, 0, 0, 0));
  other.close();
});

test('a wrong rank, shape, type, length, a missing and an unknown feed are errors that say what was expected', () => {
  session.run(graph.set, { value: four(1, 2, 3, 4) });
  const pixels = new Uint8Array(16).fill(1);
  expect(() => session.run(graph.blur, { images: { data: pixels.subarray(0, 1), shape: [] } })).toThrow(
    'feed "images" of endpoint "blur" is uint8 [], expected uint8 [1, 4, 4, 1].',
  );
  expect(() => session.run(graph.blur, { images: { data: pixels, shape: [4, 4] } })).toThrow(
    'is uint8 [4, 4], expected uint8 [1, 4, 4, 1].',
  );
  expect(() => session.run(graph.blur, { images: { data: pixels.subarray(0, 15), shape: [1, 4, 4, 1] } })).toThrow(
    'has 15 elements (15 bytes), uint8 [1, 4, 4, 1] has 16 (16 bytes).',
  );
  // @ts-expect-error what the compiler refuses can still come from a cast or from JavaScript
  expect(() => session.run(graph.blur, { images: { data: Float32Array.from(pixels), shape: [1, 4, 4, 1] } })).toThrow(
    'is float32 [1, 4, 4, 1], expected uint8 [1, 4, 4, 1].',
  );
  // @ts-expect-error as above
  expect(() => session.run(graph.blur, { images: { data: Float64Array.from(pixels), shape: [1, 4, 4, 1] } })).toThrow(
    'is Float64Array, expected uint8',
  );
  // @ts-expect-error as above
  expect(() => session.run(graph.blur, {})).toThrow('feed "images" of endpoint "blur" is missing; it takes uint8 [1, 4, 4, 1].');
  const surplus = { images: { data: pixels, shape: [1, 4, 4, 1] }, mask: four(1, 1, 1, 1) };
  expect(() => session.run(graph.blur, surplus)).toThrow(FeedError);

  expect(session.run(graph.blur, { images: { data: pixels, shape: [1, 4, 4, 1] } }).sums[5]).toBe(9);
  expect(session.run(graph.get, {}).value).toEqual(Float32Array.of(1, 2, 3, 4));
});

test('what was fetched belongs to the caller', () => {
  session.run(graph.set, { value: four(1, 2, 3, 4) });
  const { value } = session.run(graph.get, {});
  session.run(graph.increase, { amount: four(1, 1, 1, 1) });
  expect(value).toEqual(Float32Array.of(1, 2, 3, 4));
  value.fill(0);
  expect(session.run(graph.get, {}).value).toEqual(Float32Array.of(2, 3, 4, 5));
});

test('no tensor is left behind, on success or failure', () => {
  const before = binding.getNumOfTensors();
  for (let i = 0; i < 10; i++) session.run(graph.set, { value: four(1, 2, 3, 4) });
  const fresh = Session.load(binding, graph.compiled);
  expect(() => fresh.run(graph.increase, { amount: four(1, 1, 1, 1) })).toThrow(SessionError);
  fresh.close();
  expect(binding.getNumOfTensors()).toBe(before);
});

test('a closed session, an endpoint of another graph and bytes that are no graph are errors', () => {
  const fresh = Session.load(binding, graph.compiled);
  fresh.close();
  fresh.close();
  expect(() => fresh.run(graph.get, {})).toThrow('endpoint "get" was called on a closed session.');
  expect(() => session.run(sampleGraph().get, {})).toThrow('endpoint "get" belongs to another graph.');
  expect(() => Session.load(binding, { savedModel: Uint8Array.of(1, 2, 3), endpoints: [] })).toThrow(SessionError);
  expect(binding.getNumOfSavedModels()).toBe(1);
});

test('the interpreter computes what the session computes', () => {
  const eager = new EagerInterpreter(binding);
  const before = binding.getNumOfTensors();
  for (const runner of [session, eager]) {
    runner.run(graph.set, { value: four(1, 2, 3, 4) });
    runner.run(graph.increase, { amount: four(1, 1, 1, 1) });
    expect(runner.run(graph.get, {}).value).toEqual(Float32Array.of(2, 3, 4, 5));
    expect(runner.run(graph.blur, { images: { data: new Uint8Array(16).fill(2), shape: [1, 4, 4, 1] } }).sums[5]).toBe(18);
  }
  eager.close();
  expect(binding.getNumOfTensors()).toBe(before);
});

test('an addon that is missing or none is an error that names it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'no-addon-'));
  const path = join(directory, 'tfjs_binding.node');
  expect(() => loadBinding(path)).toThrow(BindingError);
  writeFileSync(path, 'no addon');
  expect(() => loadBinding(path)).toThrow(`the TensorFlow addon ${path} cannot be loaded`);
  rmSync(directory, { recursive: true });
});
