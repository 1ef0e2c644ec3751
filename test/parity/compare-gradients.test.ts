import { efficientNetSpec } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { GRADIENT_BOUNDS, compareGradients } from './compare-gradients.js';

const { parameters } = efficientNetSpec('Lite0', 2);
const ours = Float32Array.from({ length: parameters.length }, (_, i) => Math.sin(i));
const theirs = () => new Map(parameters.entries.map((entry) => [entry.name, Float32Array.from(viewEntry(ours, entry))]));
const first = parameters.entries[0]!.name;

test('equal gradients are 0 apart, and all are compared', () => {
  const measured = compareGradients(parameters, ours, theirs(), 0);
  expect(measured[0]?.what).toBe(`relative L2 of ${parameters.entries.length} gradients`);
  for (const { distance } of measured) expect(distance).toBeLessThan(1e-12);
});

test('one of the peer’s that is another is found, one that is not finite or missing is an error', () => {
  const turned = theirs();
  turned.set(
    first,
    turned.get(first)!.map((value) => -value),
  );
  const [length, angle] = compareGradients(parameters, ours, turned, 0);
  expect(length?.distance).toBeGreaterThan(GRADIENT_BOUNDS.relativeL2);
  expect(angle?.distance).toBeGreaterThan(GRADIENT_BOUNDS.angle);
  turned.get(first)![0] = NaN;
  expect(() => compareGradients(parameters, ours, turned, 0)).toThrow(`"${first}" is not finite`);
  turned.delete(first);
  expect(() => compareGradients(parameters, ours, turned, 0)).toThrow(`no gradient of "${first}"`);
});

test('NaN of ours does not pass, and there has to be something to compare', () => {
  const broken = Float32Array.from(ours);
  broken[0] = NaN;
  const [length] = compareGradients(parameters, broken, theirs(), 0);
  expect(length!.distance <= length!.bound).toBe(false);
  expect(() => compareGradients(parameters, ours, theirs(), 1)).toThrow('none of');
});
