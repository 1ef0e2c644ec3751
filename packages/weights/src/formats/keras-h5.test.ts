import type { Group } from 'h5wasm';
import { expect, test } from 'vitest';
import { fixture } from '../testing/tiny-network.js';
import { readKerasH5 } from './keras-h5.js';

let made = 0;

/** An HDF5 file, made in memory by the library itself. */
async function h5(fill: (root: Group) => void): Promise<Uint8Array> {
  const hdf5 = await import('h5wasm');
  const { FS } = await hdf5.ready;
  const path = `/made-${(made += 1)}.h5`;
  const file = new hdf5.File(path, 'w');
  fill(file);
  file.close();
  const bytes = Uint8Array.from(FS.readFile(path));
  FS.unlink(path);
  return bytes;
}
const floats = (group: Group, name: string, shape: readonly number[]) =>
  group.create_dataset({ name, data: new Float32Array(shape.reduce((product, dimension) => product * dimension, 1)), shape: [...shape] });

test('datasets are read by their paths, the optimiser’s are not', async () => {
  const file = await h5((root) => {
    floats(root.create_group('layer'), 'kernel', [2, 3]);
    floats(root.create_group('optimizer_weights'), 'm', [6]);
    floats(root.create_group('optimizer'), 'v', [6]);
    floats(root.get('layer') as Group, 'optimizer', [1]);
  });
  expect([...(await readKerasH5(file)).values()].map(({ name, shape }) => [name, shape])).toEqual([
    ['layer/kernel', [2, 3]],
    ['layer/optimizer', [1]],
  ]);
});

test('one dataset under very many names is refused before it is read', async () => {
  const file = await h5((root) => {
    floats(root, 'w', [2 ** 20]);
    for (let i = 0; i < 256; i++) root.create_hard_link('/w', `w${i}`);
  });
  await expect(readKerasH5(file)).rejects.toThrow(`elements of all tensors: ${257 * 2 ** 20}: at most ${2 ** 28} are read`);
});

test('groups within groups are followed twelve deep and no deeper, even into themselves', async () => {
  const nested = (depth: number) =>
    h5((root) => {
      let group = root;
      for (let i = 0; i < depth; i++) group = group.create_group('g');
      floats(group, 'w', [1]);
    });
  expect((await readKerasH5(await nested(12))).size).toBe(1);
  await expect(readKerasH5(await nested(13))).rejects.toThrow('at most 12 deep');
  const cyclic = await h5((root) => {
    root.create_group('g').create_hard_link('/g', 'again');
  });
  await expect(readKerasH5(cyclic)).rejects.toThrow(/^groups within groups at "g\/again\/.*at most 12 deep/);
});

test('a few groups that contain each other many times are refused as the many groups that they look like', async () => {
  const file = await h5((root) => {
    for (let level = 5; level >= 1; level--) {
      const group = root.create_group(`level${level}`);
      if (level < 5) for (let i = 0; i < 12; i++) group.create_hard_link(`/level${level + 1}`, `g${i}`);
    }
  });
  await expect(readKerasH5(file)).rejects.toThrow('groups and datasets of the file: 20001: at most 20000 are read');
});

test('shapes that no network has are refused', async () => {
  const deep = await h5((root) => {
    floats(root, 'w', [1, 1, 1, 1, 1, 1, 1, 1, 1]);
  });
  await expect(readKerasH5(deep)).rejects.toThrow('dimensions of "w": 9');
});

test('numbers of big-endian machines are refused', async () => {
  const file = Buffer.from(fixture('keras-model.h5'));
  // The class and bit field of a 4-byte IEEE float: little-endian is bit 0 (HDF5 File Format Specification, IV.A.2.d).
  const little = Buffer.from('11201f0004000000', 'hex');
  const big = Buffer.from('11211f0004000000', 'hex');
  const at = file.indexOf(little);
  expect(at).toBeGreaterThan(0);
  big.copy(file, at);
  await expect(readKerasH5(file)).rejects.toThrow('little-endian numbers in the file itself are read');
});
