import { EFFICIENTNET_VARIANTS, efficientNetSpec } from '@roentgen/efficientnet';
import type { FinishedNetwork, ModelConventions } from '@roentgen/efficientnet';
import { loadBinding } from '@roentgen/tensorflow';
import { PredictionSession, noiseNetwork, noiseSamples } from '@roentgen/training';
import * as onnxruntime from 'onnxruntime-node';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { OnnxExportError } from './errors.js';
import { exportOnnx } from './export/export-onnx.js';
import { OnnxSession } from './runtime/onnx-session.js';

const CLASSES = 5;
const TOLERANCE = 1e-4;

const symmetric: ModelConventions = { ...EFFICIENTNET_VARIANTS.B0.conventions, padding: 'symmetric', batchNormEpsilon: 1e-5 };
const b0 = efficientNetSpec('B0', CLASSES);

const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
const distance = (got: Float32Array, expected: Float32Array) =>
  got.length === expected.length ? largest(got.map((value, i) => value - expected[i]!)) / largest(expected) : Infinity;
/** Each a shade brighter than the one before: noise alone has the same mean everywhere, and so nearly the same logits. */
const noiseImages = (count: number, sizePx: number) =>
  Uint8Array.from(noiseSamples(count, sizePx, 2).flatMap(({ pixels }, i) => [...pixels.map((value) => (value * (i + 1)) / count)]));

function inTensorFlow({ spec, imageSizePx, ...vectors }: FinishedNetwork, images: Uint8Array, count: number) {
  const { variant, numClasses, conventions } = spec;
  const session = PredictionSession.create({ binding: loadBinding(), variant, numClasses, imageSizePx, batchSize: count, conventions });
  session.setWeights(vectors);
  const predictions = session.predict(images, count);
  session.close();
  return predictions;
}

describe.each([
  ['B0, even size', b0, 64],
  ['B0, odd size', b0, 75],
  ['B0, symmetric padding, even size', efficientNetSpec('B0', CLASSES, symmetric), 64],
  ['B0, symmetric padding, odd size', efficientNetSpec('B0', CLASSES, symmetric), 75],
  ['Lite0, odd size', efficientNetSpec('Lite0', CLASSES), 39],
])('%s', (_, spec, imageSizePx) => {
  const network = noiseNetwork(spec, imageSizePx, 3);
  const images = noiseImages(3, imageSizePx);
  const ours = inTensorFlow(network, images, 3);

  test('the reference looks at the image', () => {
    const [first, second] = [ours.logits.subarray(0, CLASSES), ours.logits.subarray(CLASSES, 2 * CLASSES)];
    expect(distance(first, second)).toBeGreaterThan(500 * TOLERANCE);
  });

  test('a runtime that loads the file gives the same logits and probabilities, for one image and for three', async () => {
    const session = await onnxruntime.InferenceSession.create(exportOnnx(network));
    for (const count of [1, 3]) {
      const shape = [count, imageSizePx, imageSizePx, 3];
      const bytes = images.subarray(0, count * imageSizePx * imageSizePx * 3);
      const { logits, probabilities } = await session.run({ images: new onnxruntime.Tensor('uint8', bytes, shape) });
      expect(logits!.dims).toEqual([count, CLASSES]);
      expect(distance(logits!.data as Float32Array, ours.logits.subarray(0, count * CLASSES))).toBeLessThan(TOLERANCE);
      expect(distance(probabilities!.data as Float32Array, ours.probabilities.subarray(0, count * CLASSES))).toBeLessThan(TOLERANCE);
    }
    await session.release();
  });
});

test('B3 takes and gives what its size and classes say', async () => {
  const session = await onnxruntime.InferenceSession.create(exportOnnx(noiseNetwork(efficientNetSpec('B3', 14), 300, 0)));
  expect(session.inputMetadata).toMatchObject([{ name: 'images', type: 'uint8', shape: ['batch', 300, 300, 3] }]);
  expect(session.outputMetadata).toMatchObject([
    { name: 'logits', type: 'float32', shape: ['batch', 14] },
    { name: 'probabilities', type: 'float32', shape: ['batch', 14] },
  ]);
  await session.release();
});

test('the file says what it was exported from', () => {
  const file = exportOnnx(noiseNetwork(b0, 32, 0), { variant: 'B0', classes: '["ill","well"]' });
  // The fields of ModelProto, read by another reader than the writer's.
  const { root } = protobuf.parse(
    `syntax = "proto3";
    message Entry { string key = 1; string value = 2; }
    message Opset { string domain = 1; int64 version = 2; }
    message Model { int64 ir_version = 1; string producer_name = 2; repeated Opset opset_import = 8; repeated Entry metadata_props = 14; }`,
    { keepCase: true },
  );
  const type = root.lookupType('Model');
  expect(type.toObject(type.decode(file), { longs: Number, defaults: true })).toEqual({
    ir_version: 8,
    producer_name: 'roentgen',
    opset_import: [{ domain: '', version: 17 }],
    metadata_props: [
      { key: 'variant', value: 'B0' },
      { key: 'classes', value: '["ill","well"]' },
    ],
  });
});

test('weights of another network are refused', () => {
  const network = noiseNetwork(b0, 32, 0);
  expect(() => exportOnnx({ ...network, spec: efficientNetSpec('B1', CLASSES) })).toThrow(OnnxExportError);
});

describe('a session on the CPU', () => {
  const sizePx = 39;
  const network = noiseNetwork(efficientNetSpec('Lite0', CLASSES), sizePx, 4);
  const images = noiseImages(5, sizePx);

  test('predicts any number of images, like TensorFlow, and says what it is', async () => {
    const session = await OnnxSession.create({ network, batchSize: 2, threads: 2 });
    const predictions = await session.predict(images, 5);
    expect(predictions).toMatchObject({ count: 5, numClasses: CLASSES });
    const expected = inTensorFlow(network, images, 5);
    expect(distance(predictions.logits, expected.logits)).toBeLessThan(TOLERANCE);
    expect(distance(predictions.probabilities, expected.probabilities)).toBeLessThan(TOLERANCE);
    expect(session.engine).toMatch(/^onnxruntime \d+\.\d+\.\d+$/);
    await session.close();
    await session.close();
  });

  test('an image gives the same bits alone, among others and in another session', async () => {
    const session = await OnnxSession.create({ network, batchSize: 2, threads: 2 });
    const among = await session.predict(images, 5);
    const last = await session.predict(images.subarray(-sizePx * sizePx * 3), 1);
    await session.close();
    expect(last.logits).toEqual(among.logits.subarray(-CLASSES));
    const another = await OnnxSession.create({ network, batchSize: 2, threads: 2 });
    expect((await another.predict(images, 5)).logits).toEqual(among.logits);
    await another.close();
  });

  test('images may lie in memory that threads share, as in a worker', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(images.length + 8), 8);
    shared.set(images);
    const session = await OnnxSession.create({ network, batchSize: 1, threads: 2 });
    expect((await session.predict(shared, 5)).logits).toEqual((await session.predict(images, 5)).logits);
    await session.close();
  });

  test('bytes that are not so many images are refused', async () => {
    const session = await OnnxSession.create({ network, batchSize: 2 });
    await expect(session.predict(images, 4)).rejects.toThrow(/4 images of 39 × 39/);
    await session.close();
  });
});
