import { expect, test } from 'vitest';
import { GraphError, ShapeError } from '../errors.js';
import { Graph } from './graph.js';
import * as ops from './ops/index.js';

test('names are made unique, equal small constants are one node, a variable name is taken once', () => {
  const graph = new Graph();
  const x = graph.placeholder('x', 'float32', [2]);
  const names = [ops.square(graph, x), ops.square(graph, x), ops.square(graph, x)].map(({ node }) => node.name);
  expect(new Set(names).size).toBe(3);
  expect(graph.scalar(2)).toBe(graph.scalar(2));
  expect(graph.ints([2])).not.toBe(graph.scalar(2));
  ops.variable(graph, 'weights', [2]);
  expect(() => ops.variable(graph, 'weights', [2])).toThrow(GraphError);
  expect(() => graph.placeholder('x', 'float32', [2])).toThrow(/already has a node "x"/);
});

test('operations that do not fit say the operation and both shapes', () => {
  const graph = new Graph();
  const a = graph.placeholder('a', 'float32', [2, 3]);
  const b = graph.placeholder('b', 'float32', [4, 5]);
  const image = graph.placeholder('image', 'float32', [1, 8, 8, 3]);
  const kernel = graph.placeholder('kernel', 'float32', [3, 3, 4, 8]);
  expect(() => ops.matMul(graph, a, b)).toThrow(ShapeError);
  expect(() => ops.matMul(graph, a, b)).toThrow('inner sizes of float32 [2, 3] and float32 [4, 5] differ (3 and 4)');
  expect(() => ops.add(graph, a, b)).toThrow(/AddV2: float32 \[2, 3\] and float32 \[4, 5\] cannot be broadcast/);
  expect(() => ops.convolution(graph, 'full', image, kernel, { stride: 1, padding: 'same' })).toThrow(/has 3 channels, kernel .* takes 4/);
  expect(() => ops.reshape(graph, a, [7])).toThrow(/has 6 elements, \[7\] needs 7/);
});

test('what was fed, or a view of it, is assigned only as a copy', () => {
  const graph = new Graph();
  const target = ops.variable(graph, 'target', [2]);
  const feed = graph.placeholder('feed', 'float32', [4]);
  const view = ops.identity(graph, ops.slice(graph, feed, 0, 2));
  expect(() => ops.assign(graph, target, view)).toThrow(
    'the value of the variable "target" may share the memory of the feed "feed": assign it through deepCopy.',
  );
  expect(ops.assign(graph, target, ops.deepCopy(graph, view)).op).toBe('AssignVariableOp');
  expect(ops.assign(graph, target, ops.square(graph, view)).op).toBe('AssignVariableOp');
});

test('convolutions with SAME padding keep ⌈size / stride⌉ pixels', () => {
  const graph = new Graph();
  const image = graph.placeholder('image', 'float32', [2, 75, 33, 3]);
  const kernel = graph.placeholder('kernel', 'float32', [3, 3, 3, 8]);
  expect(ops.convolution(graph, 'full', image, kernel, { stride: 2, padding: 'same' }).shape).toEqual([2, 38, 17, 8]);
  expect(
    ops.convolution(graph, 'depthwise', image, graph.placeholder('k', 'float32', [5, 5, 3, 1]), { stride: 1, padding: 'same' }).shape,
  ).toEqual([2, 75, 33, 3]);
});
