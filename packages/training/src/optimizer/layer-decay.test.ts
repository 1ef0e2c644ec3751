import { efficientNetSpec } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import { expect, test } from 'vitest';
import { learningRateScales } from './layer-decay.js';

test('B0: the classifier learns with the whole rate, then every block with half of the next one’s, the stem with the least', () => {
  const spec = efficientNetSpec('B0', 2);
  const scales = learningRateScales(spec, 0.5);
  const scaleOf = (name: string) => {
    const values = new Set(
      viewEntry(
        scales,
        spec.parameters.entries.find((entry) => entry.name === name)!,
      ),
    );
    expect(values.size, name).toBe(1);
    return [...values][0];
  };
  expect(scaleOf('predictions/kernel')).toBe(1);
  expect(scaleOf('predictions/bias')).toBe(1);
  expect(['top_conv/kernel', 'top_bn/gamma', 'block7a_se_expand/bias'].map(scaleOf)).toEqual([0.5, 0.5, 0.5]);
  expect(['block6d_bn/beta', 'block6a_dwconv/kernel', 'block1a_bn/gamma'].map(scaleOf)).toEqual([0.5 ** 2, 0.5 ** 5, 0.5 ** 16]);
  expect([scaleOf('stem_conv/kernel'), scaleOf('stem_bn/beta')]).toEqual([0.5 ** 17, 0.5 ** 17]);
});

test.each(['B7', 'Lite0'] as const)(
  '%s: depth never grows from the stem to the classifier, and every block has one of its own',
  (variant) => {
    const spec = efficientNetSpec(variant, 2);
    const scales = learningRateScales(spec, 0.9);
    const perParameter = spec.parameters.entries.map((entry) => viewEntry(scales, entry)[0]!);
    expect(perParameter).toEqual([...perParameter].sort((a, b) => a - b));
    expect(new Set(perParameter).size).toBe(spec.blocks.length + 2);
  },
);
