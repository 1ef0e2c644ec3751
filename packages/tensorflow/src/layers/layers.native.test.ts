import { beforeAll, expect, test } from 'vitest';
import { Graph } from '../graph/graph.js';
import * as ops from '../graph/ops/index.js';
import { expectDType, sizeOf } from '../graph/tensor.js';
import type { Shape, Tensor } from '../graph/tensor.js';
import { Philox } from '../random/philox.js';
import { loadBinding } from '../runtime/binding.js';
import type { TensorFlowBinding } from '../runtime/binding.js';
import { Session } from '../runtime/session.js';
import { Layers } from './layers.js';
import type { LayerConventions } from './layers.js';

const CLASSES = 3;
const CONVENTIONS: LayerConventions = { padding: 'same', batchNormEpsilon: 1e-3, activation: 'silu' };
const PARAMETERS: Readonly<Record<string, Shape>> = {
  'conv/kernel': [3, 3, 4, 4],
  'depthwise/kernel': [5, 5, 4, 1],
  'norm/gamma': [4],
  'norm/beta': [4],
  'squeeze/kernel': [1, 1, 4, 2],
  'squeeze/bias': [2],
  'excite/kernel': [1, 1, 2, 4],
  'excite/bias': [4],
  'head/kernel': [4, CLASSES],
  'head/bias': [CLASSES],
};

let binding: TensorFlowBinding;
beforeAll(() => {
  binding = loadBinding();
});

function random(name: string, shape: Shape, scale: number): Float32Array {
  const numbers = new Philox(name.length, [name.charCodeAt(0), sizeOf(shape)]);
  return Float32Array.from({ length: sizeOf(shape) }, () => scale * numbers.nextNormalPair()[0]);
}

interface NetworkOptions {
  readonly used: readonly string[];
  readonly batchNorm?: 'batch' | 'frozen';
  readonly labelSmoothing?: number;
  readonly conventions?: Partial<LayerConventions>;
  readonly imageSizePx?: number;
}

/** x times a number. */
function times(nn: Layers, x: Tensor, factor: number): Tensor {
  const [n = 0, , , channels = 0] = x.shape;
  return nn.scaleChannels(x, nn.graph.constant('float32', [n, channels], new Float32Array(n * channels).fill(factor)));
}

/** A network of the layers under test that ends in the loss, with every parameter fed so that a test can move it. */
function network(build: (nn: Layers, x: Tensor) => Tensor, options: NetworkOptions) {
  const graph = new Graph();
  const { imageSizePx = 16 } = options;
  const shapes: Readonly<Record<string, Shape>> = { ...PARAMETERS, x: [3, imageSizePx, imageSizePx, 4] };
  const names = ['x', ...options.used, 'head/kernel', 'head/bias'];
  const placeholders = new Map(names.map((name) => [name, graph.placeholder(name, 'float32', shapes[name]!)]));
  const statistics = new Map([
    ['norm/moving_mean', graph.constant('float32', [4], [0.1, -0.2, 0.3, 0])],
    ['norm/moving_variance', graph.constant('float32', [4], [1, 2, 0.5, 1.5])],
  ]);
  const dropoutSeed = graph.constant('int32', [2], [5, 6]);
  const nn = new Layers({
    graph,
    parameters: placeholders,
    statistics,
    batchNorm: options.batchNorm ?? 'batch',
    conventions: { ...CONVENTIONS, ...options.conventions },
    dropoutSeed,
  });
  const features = nn.globalAveragePool(build(nn, placeholders.get('x')!));
  const logits = nn.dense(features, { name: 'head' });
  const labels = graph.constant('int32', [3], [0, 2, 1]);
  const weights = graph.constant('float32', [3], [1, 0.5, 2]);
  const loss = nn.weightedCrossEntropySum(logits, labels, weights, options.labelSmoothing ?? 0);
  const gradients = nn.tape.gradients(loss, [...placeholders.values()]);
  const fetches = Object.fromEntries(names.map((name, index) => [name, expectDType(ops.identity(graph, gradients[index]!), 'float32')]));
  const endpoint = graph.endpoint('loss', Object.fromEntries(placeholders), {
    loss: expectDType(ops.identity(graph, loss), 'float32'),
    ...fetches,
  });
  return { names, shapes, endpoint, session: Session.load(binding, graph.compile()) };
}

/** Slope of the loss along random directions: the analytic one against central differences. */
function slopes({ names, shapes, endpoint, session }: ReturnType<typeof network>): { name: string; analytic: number; numeric: number }[] {
  const values = new Map(names.map((name) => [name, random(name, shapes[name]!, name === 'x' ? 1 : 0.5)]));
  const run = (moved: string | null, by: Float32Array | null, factor: number) =>
    session.run(
      endpoint,
      Object.fromEntries(
        [...values].map(([name, data]) => [
          name,
          { data: name === moved && by ? data.map((value, index) => value + factor * by[index]!) : data, shape: shapes[name]! },
        ]),
      ),
    );
  const gradients: Readonly<Record<string, Float32Array>> = run(null, null, 0);
  const result = names.map((name) => {
    // Along the gradient itself plus some noise: a random direction in a big space has next to no slope.
    const noise = random(`${name}!`, shapes[name]!, 1);
    const norm = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    const gradient = gradients[name]!;
    const direction = gradient.map((value, index) => value / norm(gradient) + (0.5 * noise[index]!) / norm(noise));
    const step = 1e-2;
    const numeric = (run(name, direction, step).loss[0]! - run(name, direction, -step).loss[0]!) / (2 * step);
    return { name, numeric, analytic: gradient.reduce((sum, value, index) => sum + value * direction[index]!, 0) };
  });
  session.close();
  return result;
}

test.each([
  ['convolution, stride 2', ['conv/kernel'], (nn: Layers, x: Tensor) => nn.silu(nn.conv(x, { name: 'conv', stride: 2 })), {}],
  [
    'depthwise convolution, stride 2',
    ['depthwise/kernel'],
    (nn: Layers, x: Tensor) => nn.silu(nn.depthwiseConv(x, { name: 'depthwise', stride: 2 })),
    {},
  ],
  ...[16, 15, 7].flatMap((imageSizePx) => {
    const options = { imageSizePx, conventions: { padding: 'symmetric' } } as const;
    return [
      [
        `convolution, stride 2, symmetric padding of ${imageSizePx} px`,
        ['conv/kernel'],
        (nn: Layers, x: Tensor) => nn.silu(nn.conv(x, { name: 'conv', stride: 2 })),
        options,
      ],
      [
        `depthwise convolution, stride 2, symmetric padding of ${imageSizePx} px`,
        ['depthwise/kernel'],
        (nn: Layers, x: Tensor) => nn.silu(nn.depthwiseConv(x, { name: 'depthwise', stride: 2 })),
        options,
      ],
    ] as const;
  }),
  [
    'ReLU6, below 0, between and above 6',
    ['norm/gamma', 'norm/beta'],
    // Wide enough that many values lie above 6.
    (nn: Layers, x: Tensor) => nn.activation(times(nn, nn.batchNorm(x, { name: 'norm' }), 16)),
    { conventions: { activation: 'relu6' } },
  ],
  [
    'batch norm with batch statistics',
    ['norm/gamma', 'norm/beta'],
    (nn: Layers, x: Tensor) => nn.silu(nn.batchNorm(x, { name: 'norm' })),
    {},
  ],
  [
    'batch norm with frozen statistics',
    ['norm/gamma', 'norm/beta'],
    (nn: Layers, x: Tensor) => nn.silu(nn.batchNorm(x, { name: 'norm' })),
    { batchNorm: 'frozen' },
  ],
  [
    'squeeze-and-excitation',
    ['squeeze/kernel', 'squeeze/bias', 'excite/kernel', 'excite/bias'],
    (nn: Layers, x: Tensor) =>
      nn.scaleChannels(x, nn.sigmoid(nn.dense(nn.silu(nn.dense(nn.globalAveragePool(x), { name: 'squeeze' })), { name: 'excite' }))),
    {},
  ],
  [
    'residual connection with drop-connect',
    ['conv/kernel'],
    (nn: Layers, x: Tensor) => nn.add(x, nn.dropConnect(nn.silu(nn.conv(x, { name: 'conv', stride: 1 })), 0.5)),
    {},
  ],
  ['dropout', [], (nn: Layers, x: Tensor) => nn.dropout(nn.silu(x), 0.3), {}],
  ['label smoothing', [], (nn: Layers, x: Tensor) => nn.sigmoid(x), { labelSmoothing: 0.2 }],
] as const)('the gradient of %s is the slope of the loss', (_, used, build, options) => {
  for (const { name, analytic, numeric } of slopes(network(build, { used, ...options }))) {
    expect(Math.abs(analytic - numeric) / Math.abs(analytic), `${name}: ${analytic} against ${numeric}`).toBeLessThan(1e-2);
  }
});

test.each([
  [8, 'same', [1, 3, 5, 7]],
  [8, 'symmetric', [0, 2, 4, 6]],
  [9, 'same', [0, 2, 4, 6, 8]],
  [9, 'symmetric', [0, 2, 4, 6, 8]],
] as const)('on %i pixels, %s padding centres a kernel of stride 2 on pixels %j', (sizePx, padding, centres) => {
  const graph = new Graph();
  const column = graph.constant(
    'float32',
    [1, sizePx, sizePx, 1],
    Array.from({ length: sizePx * sizePx }, (_, index) => index % sizePx),
  );
  const pick = graph.constant('float32', [3, 3, 1, 1], [0, 0, 0, 0, 1, 0, 0, 0, 0]);
  const picked = (['full', 'depthwise'] as const).map((kind) => ops.convolution(graph, kind, column, pick, { stride: 2, padding }));
  const [full, depthwise] = picked.map((tensor) => expectDType(tensor, 'float32'));
  const endpoint = graph.endpoint('pick', {}, { full: full!, depthwise: depthwise! });
  const session = Session.load(binding, graph.compile());
  const result = session.run(endpoint, {});
  session.close();
  expect([...result.full.subarray(0, centres.length)]).toEqual(centres);
  expect([...result.depthwise.subarray(0, centres.length)]).toEqual(centres);
});

test('dropout keeps the mean, drops the named share and is a function of seed and layer', () => {
  const graph = new Graph();
  const dropoutSeed = graph.placeholder('seed', 'int32', [2]);
  const nn = new Layers({
    graph,
    parameters: new Map(),
    statistics: new Map(),
    batchNorm: 'frozen',
    conventions: CONVENTIONS,
    dropoutSeed,
  });
  const ones = ops.add(graph, ops.zeros(graph, 10_000), graph.scalar(1));
  const [first, second] = [nn.dropout(ones, 0.3), nn.dropout(ones, 0.3)];
  const endpoint = graph.endpoint(
    'dropout',
    { seed: dropoutSeed },
    { first: expectDType(first, 'float32'), second: expectDType(second, 'float32') },
  );
  const session = Session.load(binding, graph.compile());
  const run = (...seed: [number, number]) => session.run(endpoint, { seed: { data: Int32Array.from(seed), shape: [2] } });

  const { first: a, second: b } = run(1, 2);
  expect(a.filter((value) => value === 0).length / a.length).toBeCloseTo(0.3, 1);
  expect(a.reduce((sum, value) => sum + value, 0) / a.length).toBeCloseTo(1, 1);
  expect(Buffer.from(a.buffer).equals(Buffer.from(b.buffer))).toBe(false);
  expect(Buffer.from(run(1, 2).first.buffer).equals(Buffer.from(a.buffer))).toBe(true);
  expect(Buffer.from(run(1, 3).first.buffer).equals(Buffer.from(a.buffer))).toBe(false);
  session.close();
});
