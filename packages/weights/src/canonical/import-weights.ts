import { createHash } from 'node:crypto';
import { readWeightSetRequest } from '@roentgen/domain';
import type { EfficientNetVariant, ImportedWeights, InputIssue, WeightSetRequest } from '@roentgen/domain';
import { efficientNetSpec } from '@roentgen/efficientnet';
import { WEIGHTS_CATALOGUE, catalogueEntry, checkPublishedDigest, type CatalogueEntry } from '../catalogue.js';
import { readWeightsFile } from '../formats/read-weights-file.js';
import { identifyNetwork } from '../mapping/identify-network.js';
import { readEfficientNetWeights } from '../mapping/read-efficientnet-weights.js';
import { sourceNames } from '../mapping/source-names.js';
import { WEIGHT_SOURCES, type WeightSource } from '../mapping/sources.js';
import { assertComputable } from '../mapping/tensor-problems.js';
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
 * @param catalogue what `catalogueName` is a name of
 * @throws WeightsFileError saying what is wrong with the file; nothing in it was executed
 */
export async function importWeightsFile(
  file: Uint8Array,
  options: ImportOptions = {},
  catalogue: Readonly<Record<string, CatalogueEntry>> = WEIGHTS_CATALOGUE,
): Promise<{ readonly bytes: Uint8Array; readonly weights: ImportedWeights }> {
  const { entry, wanted } = resolveOptions(options, catalogue);
  // Before anything is believed: whatever form the file has, its set is shown as this entry.
  if (entry) checkPublishedDigest(file, entry.digest);
  if (isOwnFile(file)) return importOwnFile(file, wanted);
  const { tensors } = await readWeightsFile(file);
  const { source, variant, classes } = identifyNetwork(tensors, wanted);
  const read = readEfficientNetWeights(tensors, { target: efficientNetSpec(variant, classes ?? 2), source });
  const theirNames = sourceNames(WEIGHT_SOURCES[source].naming, [...read.tensors.keys()]);
  assertComputable(read.tensors, (name) => theirNames.get(name) ?? name, { variant, source });
  const sourceSha256 = createHash('sha256').update(file).digest('hex');
  const named = { ...read, facts: { ...read.facts, ...entry?.facts } };
  const { bytes, sha256, description, parameterCount } = encodeWeights(named, { variant, classes, sourceSha256 });
  const { conventions } = description;
  return {
    bytes,
    weights: { variant, library: source, conventions, classes, parameterCount, sha256, bytes: bytes.length, sourceSha256 },
  };
}

/**
 * Looks at what can be looked at before there is a file.
 * @throws WeightsFileError `WEIGHTS_UNKNOWN_NAME`, or `WEIGHTS_MISMATCH` for an entry under another library or variant than it is of
 */
export function checkImportOptions(options: ImportOptions): void {
  resolveOptions(options, WEIGHTS_CATALOGUE);
}

/**
 * What is wrong with a request to import weights, before anything is transferred.
 * @param request as a user wrote it
 */
export function importRequestIssues(request: WeightSetRequest & Pick<ImportOptions, 'catalogueName'>): readonly InputIssue[] {
  const { variant, library, issues } = readWeightSetRequest(request);
  if (issues.length > 0) return issues;
  try {
    checkImportOptions({ variant: variant ?? undefined, library: library ?? undefined, catalogueName: request.catalogueName });
    return [];
  } catch (error) {
    if (error instanceof WeightsFileError) return [{ field: 'catalogueName', message: error.message }];
    throw error;
  }
}

function resolveOptions(options: ImportOptions, catalogue: Readonly<Record<string, CatalogueEntry>>) {
  const entry = options.catalogueName === undefined ? undefined : catalogueEntry(options.catalogueName, catalogue);
  const wanted = { source: options.library ?? entry?.source, variant: options.variant ?? entry?.variant };
  if (entry) checkAgainstEntry(wanted, entry, options.catalogueName);
  return { entry, wanted };
}

/** What the caller knows of the file. */
interface Wanted {
  readonly source: WeightSource | undefined;
  readonly variant: EfficientNetVariant | undefined;
}

/** Under another library's conventions the same file predicts something else: it would not be the entry any more. */
function checkAgainstEntry(wanted: Wanted, { source, variant }: CatalogueEntry, name: string | undefined): void {
  if (wanted.source === source && wanted.variant === variant) return;
  const [asked, is] =
    wanted.source === source ? [`EfficientNet-${wanted.variant}`, `EfficientNet-${variant}`] : [`weights of ${wanted.source}`, `${source}`];
  throw new WeightsFileError('WEIGHTS_MISMATCH', {
    value: `"${name}" as ${asked}`,
    rule: `it is ${is}`,
    fix: 'Leave library and variant out: the catalogue knows them.',
  });
}

/** One that this program wrote, on this installation or another. */
function importOwnFile(file: Uint8Array, wanted: Wanted) {
  const { description, tensors } = decodeWeights(file);
  const { conventions, library, variant, classes, sourceSha256 } = description;
  if ((wanted.variant ?? variant) !== variant) {
    throw new WeightsFileError('WEIGHTS_MISMATCH', {
      value: `weights of EfficientNet-${variant}`,
      rule: `EfficientNet-${wanted.variant} was asked for`,
    });
  }
  if ((wanted.source ?? library) !== library) {
    throw new WeightsFileError('WEIGHTS_MISMATCH', {
      value: `weights of ${library}`,
      rule: `weights of ${wanted.source} were asked for`,
      fix: 'Leave the library out: a file of this form says it itself.',
    });
  }
  assertComputable(tensors, (name) => name, { variant, source: library });
  const weights = { source: library, facts: conventions, tensors };
  const { bytes, sha256, parameterCount } = encodeWeights(weights, { variant, classes, sourceSha256 });
  return { bytes, weights: { variant, library, conventions, classes, parameterCount, sha256, bytes: bytes.length, sourceSha256 } };
}
