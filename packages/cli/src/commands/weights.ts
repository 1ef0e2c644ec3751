import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { FailedError, importWeights, uploadWeights, type RoentgenClient, type WeightSet, weightSets } from '@roentgen/client';
import { UsageError } from '../failure.js';
import { table } from '../output.js';
import { type CommandContext, connect } from '../session.js';
import { cachedWeights, type Fetched } from '../weights/cached-weights.js';

export interface ImportWeightsOptions {
  readonly name?: string;
  readonly variant?: string;
  readonly library?: string;
  readonly sha256?: string;
  /** Who fetches what is not on this disk. */
  readonly fetch: 'here' | 'server';
}

/** What the argument of `roentgen weights import` names. */
export type WeightsSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'catalogue'; readonly name: string };

const MIB = 2 ** 20;

/** `roentgen weights import`: a file, an address or a catalogue name becomes a weight set. @throws FailedError (exit code 4) naming what is wrong with the file */
export async function importWeightsCommand(context: CommandContext, what: string, options: ImportWeightsOptions): Promise<void> {
  const source = await sourceOf(what);
  const { variant, library, sha256 } = options;
  const facts = {
    name: options.name ?? defaultName(source),
    ...(variant !== undefined && { variant }),
    ...(library !== undefined && { library }),
    ...(sha256 !== undefined && { sha256 }),
    ...(source.kind === 'catalogue' && { catalogueName: source.name }),
  };
  await checkFacts(facts);
  const client = connect(context);
  const where =
    source.kind === 'file' || options.fetch === 'here'
      ? { uploadId: await send(client, source, context) }
      : source.kind === 'url'
        ? { url: source.url }
        : {};
  context.output.note('a worker reads the file');
  const set = await importWeights(client, { ...facts, ...where }, { signal: context.signal });
  if (set.status === 'FAILED') throw new FailedImportError(set);
  context.output.result({ weightSet: set }, () => describe(set));
}

/** Before anything is fetched or sent, which takes minutes. @throws UsageError with all that is wrong */
async function checkFacts(facts: { readonly name: string; readonly catalogueName?: string }): Promise<void> {
  const { importRequestIssues } = await import('@roentgen/weights');
  const issues = importRequestIssues(facts);
  if (issues.length === 0) return;
  const flags = issues.map(({ field, message }) => `${field === 'catalogueName' ? '' : `--${field} `}${message}`);
  throw new UsageError(`No weights are imported: ${flags.join('; ')}`, issues);
}

/** The file is none that can be imported: not this program's failure, and nothing that another try would change. */
class FailedImportError extends FailedError {
  constructor({ errorCode, errorMessage, name }: WeightSet) {
    super(errorCode ?? 'IMPORT_FAILED', `"${name}" was not imported: ${errorMessage ?? 'no reason given'}`);
  }
}

/** `roentgen weights list`. */
export async function listWeightsCommand(context: CommandContext, { limit }: { readonly limit: number }): Promise<void> {
  const list = await weightSets(connect(context), limit);
  context.output.result({ weightSets: list }, () =>
    table(
      ['name', 'status', 'variant', 'library', 'classes', 'parameters', 'id', 'problem'],
      list.map((set) => [
        set.name,
        set.status,
        set.variant ?? '',
        set.library ?? '',
        set.classes ?? '',
        set.parameterCount ?? '',
        set.id,
        shortened(set.errorMessage ?? ''),
      ]),
    ),
  );
}

/** What a file is recognised by. */
const DIGEST_WORDS = { sha256: 'SHA-256', 'sha256-prefix': 'SHA-256, 8 digits of 64', md5: 'MD5' } as const;

/** `roentgen weights catalogue`: published files by name; needs no API. */
export async function catalogueCommand({ output }: CommandContext): Promise<void> {
  const { WEIGHTS_CATALOGUE } = await import('@roentgen/weights');
  const entries = Object.entries(WEIGHTS_CATALOGUE).map(([name, { variant, source, classes, licence, location, digest }]) => ({
    name,
    variant,
    library: source,
    classes,
    licence,
    location,
    digest,
  }));
  output.result({ catalogue: entries }, () =>
    table(
      ['name', 'variant', 'library', 'classes', 'licence', 'digest', 'from'],
      entries.map(({ name, variant, library, classes, licence, digest, location }) => [
        name,
        variant,
        library,
        classes,
        licence,
        DIGEST_WORDS[digest.kind],
        location.kind === 'url' ? location.url : `${location.package} ${location.version} (pip)`,
      ]),
    ),
  );
}

/** A file on this disk, else an address, else a name of the catalogue. @throws UsageError */
export async function sourceOf(what: string): Promise<WeightsSource> {
  if (/^https?:\/\//i.test(what)) return await webAddress(what);
  const facts = await stat(what).catch(() => null);
  if (facts?.isFile() === true) return { kind: 'file', path: what };
  if (facts !== null) throw new UsageError(`${what} is no file: expected a .safetensors, .pth, .h5 or .weights.h5 file.`);
  const { WEIGHTS_CATALOGUE } = await import('@roentgen/weights');
  if (Object.hasOwn(WEIGHTS_CATALOGUE, what)) return { kind: 'catalogue', name: what };
  throw new UsageError(
    `There is neither a file ${what} here nor such a name in the catalogue: \`roentgen weights catalogue\` lists the names.`,
  );
}

/** @throws UsageError */
async function webAddress(url: string): Promise<WeightsSource> {
  const { parseWeightsUrl, WeightsFileError } = await import('@roentgen/weights');
  try {
    parseWeightsUrl(url);
  } catch (error) {
    throw error instanceof WeightsFileError ? new UsageError(error.message, [], error.code) : error;
  }
  return { kind: 'url', url };
}

/** Brings the file to this disk where it is not there yet, and sends it; the id of the upload. */
async function send(client: RoentgenClient, source: WeightsSource, context: CommandContext): Promise<string> {
  const { output, signal } = context;
  const fetched: Fetched =
    source.kind === 'file' ? { path: source.path, release: () => Promise.resolve() } : await cachedWeights(source, context);
  const { size } = await stat(fetched.path);
  output.note(`sending ${basename(fetched.path)}, ${(size / MIB).toFixed(1)} MiB`);
  const read = async () => new Uint8Array(await readFile(fetched.path));
  const uploadId = await uploadWeights(
    client,
    { fileName: basename(fetched.path), bytes: size, sha256: await sha256OfFile(fetched.path), read },
    signal,
  );
  await fetched.release();
  return uploadId;
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** The catalogue's name, or the file's without its extension. */
export function defaultName(source: WeightsSource): string {
  if (source.kind === 'catalogue') return source.name;
  const file = basename(source.kind === 'file' ? source.path : decoded(new URL(source.url).pathname));
  return file.replace(/(\.weights)?\.(safetensors|pth|pt|bin|h5|hdf5|keras)$/i, '') || 'weights';
}

/** As it is written where its %XX are no UTF-8. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function describe({ id, name, variant, library, classes, parameterCount }: WeightSet): string {
  const head = classes === null ? 'no classifier' : `a classifier for ${classes} classes`;
  return [
    `${name}: EfficientNet-${variant} of ${library}, ${parameterCount} parameters, ${head}: ${id}`,
    `Train from it with: roentgen train --weights ${name} --variant ${variant} …`,
  ].join('\n');
}

const SHOWN_CHARACTERS = 80;
const shortened = (text: string): string => (text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`);
