import type { EfficientNetSpec, FinishedNetwork } from '@roentgen/efficientnet';
import { Philox, viewEntry } from '@roentgen/tensorflow';
import type { LayoutEntry } from '@roentgen/tensorflow';

/** Mean of batch norm's gain. With 1 signals fade from layer to layer, and the logits hardly depend on the image; with 2 they depend on the last bit of everything. */
const GAIN = 1.7;

/**
 * A network of random weights, gains, offsets and statistics, a pure function of the seed: for checks that want every tensor to matter and have no
 * trained network at hand.
 */
export function noiseNetwork(spec: EfficientNetSpec, imageSizePx: number, seed: number): FinishedNetwork {
  const weights = new Float32Array(spec.parameters.length);
  const statistics = new Float32Array(spec.statistics.length);
  spec.parameters.entries.forEach((entry, index) => fill(weights, entry, new Philox(seed, [0, index])));
  spec.statistics.entries.forEach((entry, index) => fill(statistics, entry, new Philox(seed, [1, index])));
  return { spec, imageSizePx, weights, statistics };
}

function fill(vector: Float32Array, entry: LayoutEntry, random: Philox): void {
  const values = viewEntry(vector, entry);
  const { centre, halfWidth } = distribution(entry);
  for (let i = 0; i < values.length; i++) values[i] = centre + halfWidth * (2 * random.nextUniform() - 1);
}

/** Uniform; a kernel's outputs have about the variance of its inputs. */
function distribution({ name, shape }: LayoutEntry): { readonly centre: number; readonly halfWidth: number } {
  if (name.endsWith('/kernel')) {
    const fanIn = name.includes('dwconv') ? shape.slice(0, 2) : shape.slice(0, -1);
    return { centre: 0, halfWidth: Math.sqrt(3 / fanIn.reduce((product, size) => product * size, 1)) };
  }
  if (name.endsWith('/gamma')) return { centre: GAIN, halfWidth: 0.1 };
  return name.endsWith('/moving_variance') ? { centre: 1.15, halfWidth: 0.15 } : { centre: 0, halfWidth: 0.1 };
}
