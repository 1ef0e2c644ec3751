import { expect, test } from 'vitest';
import { Graph } from '../graph/graph.js';
import * as ops from '../graph/ops/index.js';
import { ProtoWriter } from './writer.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('fields are written as the encoding guide of protocol buffers shows them', () => {
  expect(hex(new ProtoWriter().int(1, 150).finish())).toBe('089601');
  expect(hex(new ProtoWriter().string(2, 'testing').finish())).toBe('120774657374696e67');
  expect(hex(new ProtoWriter().message(3, new ProtoWriter().int(1, 150)).finish())).toBe('1a03089601');
  expect(hex(new ProtoWriter().int(1, -2).finish())).toBe('08feffffffffffffffff01');
  expect(hex(new ProtoWriter().float(4, 1).finish())).toBe('250000803f');
  expect(hex(new ProtoWriter().bool(5, true).finish())).toBe('2801');
  expect(hex(new ProtoWriter().int(16, 1).finish())).toBe('800101');
});

test('a one-constant graph is written as TensorFlow reads it', () => {
  const graph = new Graph();
  graph.constant('int32', [1], [7]);
  const node =
    '0a05436f6e7374' + // name "Const"
    '1205436f6e7374' + // op "Const"
    '2a0b0a0564747970651202' +
    '3003' + // attr dtype: type DT_INT32
    '2a190a0576616c75651210' +
    '420e' +
    '0803' +
    '1204' +
    '12020801' +
    '2204' +
    '07000000'; // attr value: tensor int32 [1] 07 00 00 00
  const graphDef = `0a${byte(node)}${node}` + '220308d00f'; // versions.producer 2000
  const metaGraph = '0a072205' + '7365727665' + `12${byte(graphDef)}${graphDef}`; // tag "serve"
  expect(hex(graph.compile().savedModel)).toBe('0801' + `12${byte(metaGraph)}${metaGraph}`);
});

test('inputs name their output index, control edges carry a caret', () => {
  const graph = new Graph();
  const logits = graph.placeholder('logits', 'float32', [2, 3]);
  const { logitsGrad } = ops.softmaxCrossEntropy(graph, logits, ops.softmax(graph, logits));
  ops.identity(graph, logitsGrad, { name: 'out', controls: [logits.node] });
  const text = Buffer.from(graph.compile().savedModel).toString('latin1');
  expect(text).toContain('SoftmaxCrossEntropyWithLogits:1');
  expect(text).toContain('^logits');
});

function byte(hexText: string): string {
  return (hexText.length / 2).toString(16).padStart(2, '0');
}
