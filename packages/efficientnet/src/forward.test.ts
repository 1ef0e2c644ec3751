import { EFFICIENTNET_VARIANT_NAMES } from '@roentgen/domain';
import { expect, test } from 'vitest';
import { forward, type NetworkLayers } from './forward.js';
import { efficientNetSpec } from './spec.js';

/** Layers that compute nothing and remember how much of what is dropped. */
class DropRecorder implements NetworkLayers<string> {
  readonly dropped: { readonly layer: 'dropConnect' | 'dropout'; readonly rate: number }[] = [];
  conv = (x: string) => x;
  depthwiseConv = (x: string) => x;
  batchNorm = (x: string) => x;
  activation = (x: string) => x;
  sigmoid = (x: string) => x;
  add = (a: string) => a;
  scaleChannels = (x: string) => x;
  globalAveragePool = (x: string) => x;
  dense = (x: string) => x;
  dropout = (x: string, rate: number) => this.drop('dropout', x, rate);
  dropConnect = (x: string, rate: number) => this.drop('dropConnect', x, rate);
  segment = (x: string, build: (nn: NetworkLayers<string>, x: string) => string) => build(this, x);

  private drop(layer: 'dropConnect' | 'dropout', x: string, rate: number): string {
    this.dropped.push({ layer, rate });
    return x;
  }
}

test.each(EFFICIENTNET_VARIANT_NAMES)(
  '%s drops residual branches more and more with their depth, and features before the classifier',
  (variant) => {
    const spec = efficientNetSpec(variant, 2);
    const recorder = new DropRecorder();
    forward(recorder, spec, 'x', { dropoutRate: 0.3, dropConnectRate: 0.2 });
    const residual = spec.blocks.flatMap(({ hasSkip }, index) => (hasSkip ? [(0.2 * index) / spec.blocks.length] : []));
    expect(residual.at(-1)).toBeGreaterThan(0.1);
    expect(recorder.dropped).toEqual([...residual.map((rate) => ({ layer: 'dropConnect', rate })), { layer: 'dropout', rate: 0.3 }]);
  },
);
