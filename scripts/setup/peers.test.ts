import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PEERS, peerFolder } from './peers.mjs';

const peers = Object.keys(PEERS) as (keyof typeof PEERS)[];

test('each peer and each Python has a folder of its own, always the same', () => {
  const folders = peers.flatMap((peer) => [peerFolder(peer, 'cpython-311'), peerFolder(peer, 'cpython-312')]);
  expect(new Set(folders).size).toBe(peers.length * 2);
  expect(peerFolder('keras', 'cpython-311')).toBe(folders[0]);
  expect(folders[0]).toMatch(/^peers-keras-[0-9a-f]{12}$/);
});

test.each(peers)('every package of %s is pinned to one version', (peer) => {
  const text = readFileSync(fileURLToPath(new URL(`../../test/benchmark/peers/${peer}-requirements.txt`, import.meta.url)), 'utf8');
  const requirements = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(requirements.length).toBeGreaterThan(0);
  for (const requirement of requirements) expect(requirement).toMatch(/^[\w-]+==\d[\w.]*$/);
});

test('Keras computes with the TensorFlow that we compute with', () => {
  const pins: unknown = JSON.parse(readFileSync(new URL('./pins.json', import.meta.url), 'utf8'));
  const requirements = readFileSync(new URL('../../test/benchmark/peers/keras-requirements.txt', import.meta.url), 'utf8');
  expect(pins).toMatchObject({ libtensorflow: { version: /^tensorflow-cpu==(.+)$/m.exec(requirements)?.[1] } });
});
