import { WeightsFileError } from '../errors.js';
import type { NamedTensors } from '../named-tensor.js';
import { WEIGHT_SOURCES } from './sources.js';
import type { WeightNaming, WeightSource, WeightSourceDescription } from './sources.js';

/** A tensor that every network of the family has, by naming. */
const STEM_NAMES: readonly (readonly [WeightNaming, RegExp])[] = [
  ['torchvision', /^features\.0\.0\.weight$/],
  ['timm', /^conv_stem\.weight$/],
  ['efficientnet-pytorch', /^_conv_stem\.weight$/],
  ['keras', /(^|\/)(stem_conv\/|layers\/conv2d\/vars\/)/],
];
const SQUEEZE_EXCITE = /\.se\.|_se_/;

/**
 * Which library wrote the file, from the names of its tensors.
 *
 * @throws WeightsFileError `WEIGHTS_UNKNOWN_SOURCE` when no naming fits, or several sources share it and differ in what they were trained with
 */
export function detectWeightSource(tensors: NamedTensors): WeightSource {
  const names = [...tensors.keys()];
  const naming = STEM_NAMES.find(([, pattern]) => names.some((name) => pattern.test(name)))?.[0];
  if (!naming) {
    throw new WeightsFileError('WEIGHTS_UNKNOWN_SOURCE', {
      value: `${names.length} tensors, first of them ${names.slice(0, 3).map(quote).join(', ') || 'none'}`,
      rule: 'an EfficientNet of torchvision, timm, Keras or efficientnet-pytorch has a stem convolution of a known name',
      fix: 'Give the weights of an EfficientNet of one of these libraries.',
    });
  }
  const squeezeExcite = names.some((name) => SQUEEZE_EXCITE.test(name));
  const sameNaming = weightSources().filter(([, description]) => description.naming === naming);
  const candidates =
    sameNaming.length > 1 ? sameNaming.filter(([, description]) => description.squeezeExcite === squeezeExcite) : sameNaming;
  const [candidate, ...others] = candidates;
  if (!candidate || others.length > 0) {
    throw new WeightsFileError('WEIGHTS_UNKNOWN_SOURCE', {
      value: `tensors named as by ${naming}, ${squeezeExcite ? 'with' : 'without'} squeeze-and-excitation`,
      rule: 'several sources name them so, and differ in padding and batch norm',
      fix: `Name the source: ${candidates.map(([name]) => name).join(' or ')}.`,
    });
  }
  return candidate[0];
}

function weightSources(): [WeightSource, WeightSourceDescription][] {
  return Object.entries(WEIGHT_SOURCES) as [WeightSource, WeightSourceDescription][];
}

function quote(name: string): string {
  return `"${name}"`;
}
