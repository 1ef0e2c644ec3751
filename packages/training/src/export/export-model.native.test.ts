import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { efficientNetSpec } from '@roentgen/efficientnet';
import type { FinishedNetwork } from '@roentgen/efficientnet';
import { DATA_TYPES, loadBinding, viewEntry } from '@roentgen/tensorflow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noiseNetwork } from '../noise-network.js';
import { noiseSamples } from '../noise-samples.js';
import { PredictionSession } from '../prediction-session.js';
import { decodeSafetensors } from '../safetensors.js';
import { exportSafetensors, exportSavedModel } from './export-model.js';

const SIZE_PX = 39;
const CLASSES = 5;
const network = noiseNetwork(efficientNetSpec('Lite0', CLASSES), SIZE_PX, 1);
const images = Buffer.concat(noiseSamples(3, SIZE_PX, 2).map(({ pixels }) => pixels));

describe('an exported SavedModel', () => {
  const binding = loadBinding();
  let folder: string;
  let model: number;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'roentgen-export-'));
    for (const [path, bytes] of exportSavedModel(network, { classes: '["a","b"]' })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    model = binding.loadSavedModel(folder, 'serve');
  });
  afterAll(() => {
    binding.deleteSavedModel(model);
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([1, 3])('gives the logits and probabilities of our own prediction for %i images', (count) => {
    const bytes = images.subarray(0, count * SIZE_PX * SIZE_PX * 3);
    const fed = binding.createTensor([count, SIZE_PX, SIZE_PX, 3], DATA_TYPES.uint8, Uint8Array.from(bytes));
    const results = binding.runSavedModel(model, [fed], 'predict/images:0', 'predict/logits:0,predict/probabilities:0');
    const [logits, probabilities] = results.map(({ id }) => binding.tensorDataSync(id) as Float32Array);
    for (const id of [fed, ...results.map((result) => result.id)]) binding.deleteTensor(id);
    const ours = predictOurselves(network, bytes, count);
    expect(distance(logits!, ours.logits)).toBeLessThan(1e-5);
    expect(distance(probabilities!, ours.probabilities)).toBeLessThan(1e-5);
  });

  test('has a signature by which TensorFlow finds what to call, and its metadata beside it', () => {
    const text = readFileSync(join(folder, 'saved_model.pb')).toString('latin1');
    for (const name of ['serving_default', 'tensorflow/serving/predict', 'predict/images:0', 'predict/probabilities:0'])
      expect(text).toContain(name);
    expect(JSON.parse(readFileSync(join(folder, 'assets.extra/roentgen.json'), 'utf8'))).toEqual({ classes: '["a","b"]' });
  });
});

test('an exported safetensors file has every tensor of the network by its name, and nothing else', () => {
  const file = exportSafetensors(network, { variant: 'Lite0' });
  const tensors = decodeSafetensors(file);
  const { parameters, statistics } = network.spec;
  expect(tensors.size).toBe(parameters.entries.length + statistics.entries.length);
  for (const [layout, vector] of [[parameters, network.weights] as const, [statistics, network.statistics] as const]) {
    for (const entry of layout.entries) {
      expect(tensors.get(entry.name)?.shape).toEqual(entry.shape);
      expect(Buffer.from(tensors.get(entry.name)!.data.buffer).equals(bytesOf(viewEntry(vector, entry))), entry.name).toBe(true);
    }
  }
  expect(Buffer.from(file).toString('latin1')).toContain('"__metadata__":{"variant":"Lite0"}');
});

function predictOurselves({ spec, imageSizePx, ...vectors }: FinishedNetwork, bytes: Uint8Array, count: number) {
  const { variant, numClasses, conventions } = spec;
  const session = PredictionSession.create({ binding: loadBinding(), variant, numClasses, imageSizePx, batchSize: count, conventions });
  session.setWeights(vectors);
  const predictions = session.predict(bytes, count);
  session.close();
  return predictions;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
const distance = (got: Float32Array, expected: Float32Array) =>
  got.length === expected.length ? largest(got.map((value, i) => value - expected[i]!)) / largest(expected) : Infinity;
