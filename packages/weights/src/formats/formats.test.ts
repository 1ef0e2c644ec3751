import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { WeightsFileError } from '../errors.js';
import type { WeightsErrorCode } from '../errors.js';
import { readEfficientNetWeights } from '../mapping/read-efficientnet-weights.js';
import type { WeightSource } from '../mapping/sources.js';
import { expectedValues, fixture, tinyNetwork } from '../testing/tiny-network.js';
import { detectWeightsFormat, readWeightsFile } from './read-weights-file.js';

const GOOD: readonly (readonly [file: string, source: WeightSource, stored: string])[] = [
  ['torchvision-float.pth', 'torchvision', 'F32'],
  ['torchvision-half.pth', 'torchvision', 'F16'],
  ['torchvision-bfloat16.pth', 'torchvision', 'BF16'],
  ['torchvision-checkpoint-deflated.pth', 'torchvision', 'F64'],
  ['efficientnet-pytorch-stream.pth', 'efficientnet-pytorch', 'F32'],
  ['timm-f32.safetensors', 'timm', 'F32'],
  ['timm-f16.safetensors', 'timm', 'F16'],
  ['timm-bf16.safetensors', 'timm', 'BF16'],
  ['timm-f64.safetensors', 'timm', 'F64'],
  ['keras-model.h5', 'keras', 'F32'],
  ['keras-named.weights.h5', 'keras', 'F32'],
  ['keras-unnamed.weights.h5', 'keras', 'F32'],
];

test.each(GOOD)('%s gives every value of the network, in our layout', async (file, source, stored) => {
  const target = tinyNetwork();
  const { tensors } = await readWeightsFile(fixture(file));
  const weights = readEfficientNetWeights(tensors, { target, ...(source === 'timm' ? { source } : {}) });
  expect(weights.source).toBe(source);
  const entries = [...target.parameters.entries, ...target.statistics.entries];
  expect(weights.tensors.size).toBe(entries.length);
  for (const entry of entries) {
    const tensor = weights.tensors.get(entry.name);
    expect(tensor?.shape, entry.name).toEqual(entry.shape);
    expect(tensor?.data, entry.name).toEqual(expectedValues(entry));
    expect(tensor?.dtype, entry.name).toBe(stored);
  }
});

test.each(GOOD)('%s cut anywhere is an error that says so', async (file) => {
  const bytes = fixture(file);
  const cuts = [0, 1, 7, 9, 40, 200, ...[0.2, 0.4, 0.6, 0.8, 0.97].map((part) => Math.floor(bytes.length * part)), bytes.length - 1];
  for (const length of cuts) await expect(errorOf(bytes.slice(0, length)), `${length} bytes`).resolves.toMatch(/^WEIGHTS_/);
});

test.each(GOOD.filter(([file]) => !file.endsWith('.h5')))(
  '%s with a damaged byte is read or refused, never anything else',
  async (file) => {
    const bytes = fixture(file);
    for (let at = 0; at < bytes.length; at += 31) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      await readWeightsFile(damaged).catch((error: unknown) => expect(error).toBeInstanceOf(WeightsFileError));
    }
  },
);

test.each(['executes-zip.pth', 'executes-stream.pth'])(
  '%s, which asks for os.system, is refused by name and nothing runs',
  async (file) => {
    await expect(readWeightsFile(fixture(file))).rejects.toThrow('the pickle asks for "posix.system": a weight file may hold tensors');
    await expect(errorOf(fixture(file))).resolves.toBe('WEIGHTS_FORBIDDEN_PICKLE' satisfies WeightsErrorCode);
    expect(existsSync('executed-by-pickle')).toBe(false);
  },
);

test('an archive that inflates to more than it declares stops there', async () => {
  await expect(readWeightsFile(fixture('zip-bomb.pth'))).rejects.toThrow('entry "archive/data.pkl": it inflates to the declared 64 bytes');
});

test('a compressed HDF5 dataset and a link to another file are refused without being followed', async () => {
  await expect(readWeightsFile(fixture('keras-bomb.h5'))).rejects.toThrow(
    '"stem_conv/kernel" is compressed: Keras stores weights uncompressed',
  );
  await expect(readWeightsFile(fixture('keras-link.h5'))).rejects.toThrow(
    '"stem_conv": only groups and datasets of the file itself are read',
  );
});

test('bytes of no known format are refused with their beginning', () => {
  expect(() => detectWeightsFormat(Buffer.from('GIF89a, not weights'))).toThrow('a file that begins with 4749463839612c20');
  expect(() => detectWeightsFormat(new Uint8Array())).toThrow('no bytes at all');
});

test('after a damaged HDF5 file a good one is read as before', async () => {
  const good = fixture('keras-model.h5');
  await errorOf(good.slice(0, good.length / 2));
  expect((await readWeightsFile(good)).tensors.size).toBeGreaterThan(40);
});

test('an error names value, rule and fix', async () => {
  const error: unknown = await readWeightsFile(fixture('executes-zip.pth')).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: 'WEIGHTS_FORBIDDEN_PICKLE',
    value: 'the pickle asks for "posix.system"',
    rule: 'a weight file may hold tensors and plain containers only',
    fix: 'Save the state_dict() alone with torch.save, or convert the file to safetensors; nothing of it was executed.',
  });
});

async function errorOf(bytes: Uint8Array): Promise<string> {
  try {
    await readWeightsFile(bytes);
    return 'no error';
  } catch (error) {
    return error instanceof WeightsFileError ? error.code : String(error);
  }
}
