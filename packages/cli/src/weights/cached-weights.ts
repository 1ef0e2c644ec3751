import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cacheDirectory } from '@roentgen/config';
import { UsageError } from '../failure.js';
import type { CommandContext } from '../session.js';

/** A fetched file on this disk. */
export interface Fetched {
  readonly path: string;
  /** It was used: what cannot be recognised again is removed. */
  readonly release: () => Promise<void>;
}

const MAX_FILE_BYTES = 2 ** 30;
/** Of a file in the cache; file systems take 255, and some is put behind it while the file is on its way. */
const MAX_NAME_BYTES = 200;

/**
 * Fetches a file of weights into the cache. A catalogue entry stays there and is recognised by its published digest; of an address only what is under
 * way is kept, so that an interrupted download goes on.
 * @throws UsageError saying why it cannot be fetched
 */
export async function cachedWeights(
  source: { readonly kind: 'url'; readonly url: string } | { readonly kind: 'catalogue'; readonly name: string },
  { output, signal, environment }: Pick<CommandContext, 'output' | 'signal' | 'environment'>,
): Promise<Fetched> {
  const { catalogueEntry, checkPublishedDigest, fetchWeights, WeightsFileError } = await import('@roentgen/weights');
  const entry = source.kind === 'catalogue' ? catalogueEntry(source.name) : null;
  const path = pathInCache(cacheDirectory(environment), source, entry?.location);
  const isPublished = async (): Promise<boolean> => {
    if (entry === null) return false;
    const file = await readFile(path).catch(() => null);
    if (file === null) return false;
    try {
      checkPublishedDigest(file, entry.digest);
      return true;
    } catch {
      return false;
    }
  };
  if (await isPublished()) return { path, release: () => Promise.resolve() };
  await mkdir(join(path, '..'), { recursive: true });
  output.note(`fetching ${source.kind === 'url' ? source.url : source.name}`);
  const bar = byteProgress(output);
  try {
    const address = source.kind === 'url' ? { url: source.url } : { catalogueName: source.name };
    // Whatever this machine's user can reach, this command may reach.
    await fetchWeights(address, path, { privateAddresses: true, limitBytes: MAX_FILE_BYTES, environment, signal, onProgress: bar.update });
    if (entry !== null) checkPublishedDigest(await readFile(path), entry.digest);
  } catch (error) {
    if (!(error instanceof WeightsFileError)) throw error;
    if (error.code === 'WEIGHTS_DIGEST') await rm(path, { force: true });
    throw new UsageError(error.message, [], error.code);
  } finally {
    bar.end();
  }
  return { path, release: () => (entry === null ? rm(path, { force: true }) : Promise.resolve()) };
}

type Location = { readonly kind: 'url'; readonly url: string } | { readonly kind: 'python-package'; readonly path: string };

function pathInCache(
  cache: string,
  source: { readonly kind: 'url'; readonly url: string } | { readonly kind: 'catalogue'; readonly name: string },
  location: Location | undefined,
): string {
  if (source.kind === 'catalogue') {
    const file = location?.kind === 'python-package' ? location.path : (location?.url ?? source.name);
    return join(cache, 'weights', source.name, basename(file));
  }
  const key = createHash('sha256').update(source.url).digest('hex').slice(0, 16);
  return join(cache, 'weights', `url-${key}`, basename(new URL(source.url).pathname).slice(-MAX_NAME_BYTES) || 'weights');
}

/** A bar in MiB, made when the size is known. */
function byteProgress(output: CommandContext['output']): { update: (done: number, total: number | null) => void; end: () => void } {
  let bar: ReturnType<CommandContext['output']['progress']> | undefined;
  const mib = (bytes: number) => Math.round(bytes / 2 ** 20);
  return {
    update: (done, total) => {
      if (total === null) return;
      bar ??= output.progress('fetch MiB', mib(total));
      bar.update(mib(done));
    },
    end: () => bar?.end(),
  };
}
