import type { Parts } from '@roentgen/cli';
import type { Queryable } from '@roentgen/database';
import { objectKeys } from '@roentgen/storage';
import { Client } from 'minio';
import { z } from 'zod';

export interface StoredObjects {
  /** Keys that no row knows. */
  readonly orphans: string[];
  /** Keys of uploads in parts that were not completed. */
  readonly incomplete: string[];
  /** Keys that a row knows and that are not there. */
  readonly missing: string[];
}

/** Every key that a row knows. What lies in staging may be gone: it has been looked at. */
const KNOWN_KEYS = `
  select 'projects/prj_' || replace(project_id::text, '-', '') || '/objects/' || encode(sha256, 'hex') as key, true as needed from objects
  union all select manifest_key, true from dataset_versions
  union all select object_key, true from checkpoints
  union all select csv_key, true from prediction_jobs where csv_key is not null
  union all select 'projects/prj_' || replace(project_id::text, '-', '') || '/weights/' || encode(sha256, 'hex') || '.safetensors', true
              from weight_sets where sha256 is not null
  union all select 'staging/upl_' || replace(upload_id::text, '-', '') || '/' || ordinal, false from upload_files`;
const KnownKey = z.object({ key: z.string(), needed: z.boolean() });

/** The bucket against the rows, both ways. */
export async function compareObjectsWithRows(database: Queryable, store: Parts['store']): Promise<StoredObjects> {
  const rows = KnownKey.array().parse(await database.query('known_keys', KNOWN_KEYS));
  const known = rows.flatMap(({ key, needed }) =>
    key.endsWith('.safetensors') && key.includes('/checkpoints/')
      ? [
          { key, needed },
          { key: objectKeys.checkpointDescription(key), needed },
        ]
      : [{ key, needed }],
  );
  const keys = new Set(known.map(({ key }) => key));
  const { stored, incomplete } = await listed(store);
  const there = new Set(stored);
  return {
    orphans: stored.filter((key) => !keys.has(key)).sort(),
    incomplete: incomplete.sort(),
    missing: known.filter(({ key, needed }) => needed && !there.has(key)).map(({ key }) => key),
  };
}

async function listed({ endpoint, accessKey, secretKey, region, bucket }: Parts['store']) {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey, region, pathStyle: true });
  const stored: string[] = [];
  for await (const object of client.listObjectsV2(bucket, '', true)) stored.push(z.object({ name: z.string() }).parse(object).name);
  const incomplete: string[] = [];
  for await (const upload of client.listIncompleteUploads(bucket, '', true))
    incomplete.push(z.object({ key: z.string() }).parse(upload).key);
  return { stored, incomplete };
}
