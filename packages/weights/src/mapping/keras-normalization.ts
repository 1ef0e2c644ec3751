import { WeightsFileError } from '../errors.js';
import type { NamedTensors } from '../named-tensor.js';
import type { WeightFacts } from './sources.js';

type Normalization = WeightFacts['normalization'];
type PerChannel = Normalization['mean'];

/** `normalization/mean:0`, `normalization/normalization/mean:0` and, where variables are numbered, `layers/normalization/vars/0`. */
const VARIABLE = /(?:^|\/)normalization(?:_\d+)?\/(?:vars\/)?(mean|variance|0|1)(?::0)?$/;
const INDEX_NAMES: Readonly<Record<string, 'mean' | 'variance'>> = { mean: 'mean', variance: 'variance', '0': 'mean', '1': 'variance' };

/**
 * The published ImageNet files hold the standard deviations where the layer expects variances, and
 * `EfficientNet(weights='imagenet')` divides by their square roots a second time, in a layer that no file mentions
 * (keras/src/applications/efficientnet.py). So these numbers mean ImageNet's mean and standard deviation.
 */
const PUBLISHED = { mean: [0.485, 0.456, 0.406], variance: [0.229, 0.224, 0.225] } as const;
const PUBLISHED_TOLERANCE = 1e-4;
/** The least standard deviation that Keras divides by (`keras.backend.epsilon()`). */
const EPSILON = 1e-7;

/**
 * How a Keras file's own `Normalization` layer changes pixels (0 to 1, after `Rescaling(1 / 255)`): a network that was built with
 * `weights=None` keeps mean 0 and variance 1 unless it was adapted, and predicts something else under ImageNet's.
 *
 * @returns null where the file has no such layer
 * @throws WeightsFileError `WEIGHTS_MISMATCH` when only one of mean and variance is there, or they are not three finite numbers each, the variance ≥ 0
 */
export function kerasNormalization(file: NamedTensors): Normalization | null {
  const found = new Map<string, Float32Array>();
  for (const { name, data } of file.values()) {
    const variable = INDEX_NAMES[VARIABLE.exec(name)?.[1] ?? ''];
    if (variable) found.set(variable, data);
  }
  if (found.size === 0) return null;
  const mean = perChannel('mean', found.get('mean'), -Infinity);
  const variance = perChannel('variance', found.get('variance'), 0);
  if (isClose(mean, PUBLISHED.mean) && isClose(variance, PUBLISHED.variance)) return { mean: PUBLISHED.mean, std: PUBLISHED.variance };
  const [red, green, blue] = variance;
  return { mean, std: [deviation(red), deviation(green), deviation(blue)] };
}

const deviation = (variance: number) => Math.max(Math.sqrt(variance), EPSILON);

function perChannel(variable: 'mean' | 'variance', data: Float32Array | undefined, least: number): PerChannel {
  const [red, green, blue, ...more] = data ?? [];
  const usable = (value: number | undefined): value is number => Number.isFinite(value) && value! >= least;
  if (usable(red) && usable(green) && usable(blue) && more.length === 0) return [red, green, blue];
  throw new WeightsFileError('WEIGHTS_MISMATCH', {
    value: `the ${variable} of the file's normalization layer is ${data ? `[${[...data].slice(0, 4).join(', ')}${data.length > 4 ? ', …' : ''}]` : 'missing'}`,
    rule: `images of three channels need three finite numbers${least === 0 ? ' of 0 or more' : ''}`,
    fix: 'Save the weights of the network that was trained, with mean and variance of its Normalization layer for three channels.',
  });
}

function isClose(values: readonly number[], others: readonly number[]): boolean {
  return values.every((value, i) => Math.abs(value - (others[i] ?? NaN)) <= PUBLISHED_TOLERANCE);
}
