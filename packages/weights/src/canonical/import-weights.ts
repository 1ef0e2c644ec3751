import { createHash } from 'node:crypto';
import type { EfficientNetVariant, ImportedWeights } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import { catalogueEntry, checkPublishedDigest } from '../catalogue.js';
import { readWeightsFile } from '../formats/read-weights-file.js';
import { identifyNetwork } from '../mapping/identify-network.js';
import { readEfficientNetWeights } from '../mapping/read-efficientnet-weights.js';
import type { WeightSource } from '../mapping/sources.js';
import { WeightsFileError } from '../errors.js';
import { decodeWeights, encodeWeights, isOwnFile } from './canonical-weights.js';

export interface ImportOptions {
  /** Where it cannot be told from the file, or is to be checked. */
  readonly library?: WeightSource | undefined;
  readonly variant?: EfficientNetVariant | undefined;
  /** The catalogue entry that the file is said to be: its digest is checked, and it says library, variant and conventions. */
  readonly catalogueName?: string | undefined;
}

/**
 * From the file of any library to our own. Everything that the network needs has to be there, and nothing else may be.
 *
 * @throws WeightsFileError saying what is wrong with the file; nothing in it was executed
 */
export async function importWeightsFile(
  file: Uint8Array,
  options: ImportOptions = {},
): Promise<{ readonly bytes: Uint8Array; readonly weights: ImportedWeights }> {
  if (isOwnFile(file)) return importOwnFile(file, options);
  const entry = options.catalogueName === undefined ? undefined : catalogueEntry(options.catalogueName);
  if (entry) checkPublishedDigest(file, entry.digest);
  const { tensors } = await readWeightsFile(file);
  const identity = identifyNetwork(tensors, {
    source: options.library ?? entry?.source,
    variant: options.variant ?? entry?.variant,
  });
  const { source, variant, classes } = identity;
  const read = readEfficientNetWeights(tensors, { target: efficientNetSpec(variant, classes ?? 2), source });
  const sourceSha256 = createHash('sha256').update(file).digest('hex');
  const named = { ...read, facts: { ...read.facts, ...entry?.facts } };
  const { bytes, sha256, description, parameterCount } = encodeWeights(named, { variant, classes, sourceSha256 });
  const { conventions } = description;
  return {
    bytes,
    weights: { variant, library: source, conventions, classes, parameterCount, sha256, bytes: bytes.length, sourceSha256 },
  };
}

/** One that this program wrote, on this installation or another. */
function importOwnFile(file: Uint8Array, { variant }: ImportOptions) {
  const { description, tensors } = decodeWeights(file);
  const { conventions, library, classes, sourceSha256 } = description;
  const notFinite = [...tensors.values()].filter(({ data }) => !data.every(Number.isFinite)).map(({ name }) => name);
  if (notFinite.length > 0 || (variant ?? description.variant) !== description.variant) {
    throw new WeightsFileError('WEIGHTS_MISMATCH', {
      value:
        notFinite.length > 0
          ? `${notFinite.length} tensors with values that are not finite (${notFinite.join('; ')})`
          : `weights of EfficientNet-${description.variant}`,
      rule: notFinite.length > 0 ? 'weights are finite numbers' : `EfficientNet-${variant} was asked for`,
    });
  }
  const weights = { source: library, facts: conventions, tensors };
  const { bytes, sha256, parameterCount } = encodeWeights(weights, { variant: description.variant, classes, sourceSha256 });
  return {
    bytes,
    weights: { variant: description.variant, library, conventions, classes, parameterCount, sha256, bytes: bytes.length, sourceSha256 },
  };
}
