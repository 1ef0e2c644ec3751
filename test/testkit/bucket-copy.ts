import type { Parts } from '@roentgen/cli';
import { silentLogger } from '@roentgen/logger';
import { S3ObjectInventory, S3ObjectStore } from '@roentgen/storage';

type Bucket = Parts['store'];

/** Copies every object that is in the bucket now into another, as a mirror does that never deletes. */
export async function copyBucket(from: Bucket, to: Bucket): Promise<void> {
  const source = await S3ObjectStore.connect({ ...from, startupTimeoutMs: 5_000 }, silentLogger);
  const target = await S3ObjectStore.connect({ ...to, startupTimeoutMs: 5_000 }, silentLogger);
  await target.ensureBucket();
  const inventory = new S3ObjectInventory(from);
  for (let after = ''; ;) {
    const page = await inventory.list('', after, 1_000);
    for (const { key } of page) await target.put(key, await source.get(key), 'application/octet-stream');
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.key;
  }
}
