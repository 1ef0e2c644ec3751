import { expect, test } from 'vitest';
import { readWeightsFile } from '../formats/read-weights-file.js';
import type { NamedTensor } from '../named-tensor.js';
import { fixture, tinyNetwork } from '../testing/tiny-network.js';
import { kerasNormalization } from './keras-normalization.js';
import { readEfficientNetWeights } from './read-efficientnet-weights.js';

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const tensor = (name: string, ...values: number[]): NamedTensor => ({
  name,
  shape: [values.length],
  dtype: 'F32',
  data: Float32Array.from(values),
});
const file = (...tensors: NamedTensor[]) => new Map(tensors.map((each) => [each.name, each]));

test.each([
  ['of .h5', 'normalization/mean:0', 'normalization/variance:0'],
  ['of .h5 with the layer twice', 'normalization_2/normalization_2/mean:0', 'normalization_2/normalization_2/variance:0'],
  ['of .weights.h5', 'layers/normalization/vars/0', 'layers/normalization/vars/1'],
  ['of .weights.h5 with names', 'normalization/vars/0', 'normalization/vars/1'],
])('mean and variance are read by the names %s', (_, mean, variance) => {
  expect(kerasNormalization(file(tensor(mean, 0, 0.5, 1), tensor(variance, 1, 0.25, 4)))).toEqual({ mean: [0, 0.5, 1], std: [1, 0.5, 2] });
});

test('the published files mean ImageNet’s standard deviations by their variances', () => {
  const published = file(tensor('normalization/mean:0', 0.485, 0.456, 0.406), tensor('normalization/variance:0', 0.229, 0.224, 0.225));
  expect(kerasNormalization(published)).toEqual(IMAGENET);
});

test('batch norms are no preprocessing, and a file without the layer says nothing', () => {
  expect(kerasNormalization(file(tensor('layers/batch_normalization/vars/0', 1, 1, 1), tensor('top_bn/gamma', 1, 1, 1)))).toBeNull();
});

test.each([
  ['is missing', [tensor('normalization/mean:0', 0, 0, 0)]],
  ['is [1]', [tensor('normalization/mean:0', 0, 0, 0), tensor('normalization/variance:0', 1)]],
  ['is [1, -1, 1]', [tensor('normalization/mean:0', 0, 0, 0), tensor('normalization/variance:0', 1, -1, 1)]],
])('a variance that %s is refused', (what, tensors) => {
  expect(() => kerasNormalization(file(...tensors))).toThrow(
    `the variance of the file's normalization layer ${what}: images of three channels`,
  );
});

test('a Keras network that was trained from nothing keeps its own preprocessing', async () => {
  const { tensors } = await readWeightsFile(fixture('keras-named.weights.h5'));
  expect(readEfficientNetWeights(tensors, { target: tinyNetwork() }).facts.normalization).toEqual({ mean: [0, 0, 0], std: [1, 1, 1] });
});
