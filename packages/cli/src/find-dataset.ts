import { type DatasetVersion, datasetVersion, newestDatasetVersion, type RoentgenClient } from '@roentgen/client';
import { UsageError } from './failure.js';

/** The version that `--dataset` means: itself, or the newest one of the named dataset. @throws UsageError, ApiError when there is none */
export async function findDatasetVersion(client: RoentgenClient, nameOrId: string): Promise<DatasetVersion> {
  if (nameOrId.startsWith('dsv_')) return datasetVersion(client, nameOrId);
  const found = await newestDatasetVersion(client, nameOrId);
  if (found !== null) return found;
  throw new UsageError(`There is no dataset named "${nameOrId}": \`roentgen datasets\` lists them, \`roentgen import\` makes one.`);
}
