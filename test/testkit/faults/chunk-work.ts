import type { Service } from '@roentgen/cli';
import {
  type ImportDatasetOptions,
  type ImportedDataset,
  type ImportFile,
  importDataset,
  predict,
  type PredictionJob,
  type PredictionRequest,
  samples,
} from '@roentgen/client';
import { expect, vi } from 'vitest';
import { z } from 'zod';
import { EVENTUALLY, named, signalAll, type FaultSystem } from './fault-system.js';
import { brokenInvariants } from './row-invariants.js';
import type { Held } from './store-gate.js';
import { compareObjectsWithRows } from './stored-objects.js';

const ChunkRow = z.object({
  first_ordinal: z.number(),
  status: z.enum(['PENDING', 'CLAIMED', 'DONE', 'FAILED']),
  claims: z.number(),
  worker: z.string().nullable(),
  finished_at: z.string().nullable(),
});
/** One piece of a prediction, an upload or an import of weights: who has it, how often it was given out, and when it was done. */
export type Chunk = z.infer<typeof ChunkRow>;

/** Work that waits in one of its chunks; all its others are done. */
export interface WaitingWork {
  /** Of the prediction job, the upload or the weight set. */
  readonly id: string;
  /** The process that has the chunk that waits. */
  readonly worker: Service;
  readonly chunks: readonly Chunk[];
  readonly release: () => void;
}

/** In the order of their images. `id`: of a prediction job, an upload or a weight set. */
export async function chunksOf({ database }: FaultSystem, id: string): Promise<Chunk[]> {
  const rows = await database.query(
    'chunks_of',
    `select c.first_ordinal, c.status, c.claims, w.name as worker, c.finished_at::text from chunks c left join workers w on w.id = c.worker_id
      where $1::uuid in (c.job_id, c.upload_id, c.weight_set_id) order by c.first_ordinal`,
    [id.replace(/^[a-z]+_/, '')],
  );
  return ChunkRow.array().parse(rows);
}

/** Resolves when the request has come and all chunks but the one that it is of are done. `work`: what must not fail before. */
export async function waitingIn(
  system: FaultSystem,
  held: Promise<Pick<Held, 'release'>>,
  work: Promise<unknown>,
  id: () => string | undefined | Promise<string | undefined>,
): Promise<WaitingWork> {
  const ended = work.then((value) => {
    throw new Error(`it ended without the request that was to be held: ${JSON.stringify(value)}`);
  });
  const { release } = await Promise.race([held, ended]);
  const waits = async () => {
    const parent = await id();
    if (parent === undefined) throw new Error('nobody knows yet what it is');
    const chunks = await chunksOf(system, parent);
    const open = chunks.filter(({ status }) => status !== 'DONE');
    if (open.length !== 1 || open[0]?.status !== 'CLAIMED') throw new Error(`not all others are done: ${JSON.stringify(chunks)}`);
    return { id: parent, chunks, worker: named(system.system.running('worker'), open[0].worker ?? 'nobody'), release };
  };
  return await Promise.race([vi.waitFor(waits, EVENTUALLY), ended]);
}

/** A prediction that waits for this image. */
export async function predictUntil(
  system: FaultSystem,
  request: PredictionRequest,
  { sha256 }: ImportFile,
): Promise<{ job: Promise<PredictionJob>; waiting: WaitingWork }> {
  const held = system.gate.hold({ matches: ({ method, key }) => method === 'GET' && key.endsWith(`/objects/${sha256}`) });
  let id: string | undefined;
  const job = predict(system.client, request, { onProgress: (answer) => (id = answer.id) });
  return { job, waiting: await waitingIn(system, held, job, () => id) };
}

/** An import of images new to the project that waits for the inspection of the one at this place. */
export async function importUntil(
  system: FaultSystem,
  options: ImportDatasetOptions,
  ordinal: number,
): Promise<{ dataset: Promise<ImportedDataset>; waiting: WaitingWork }> {
  const isIt = new RegExp(`^staging/upl_[0-9a-f]{32}/${ordinal}$`);
  const held = system.gate.hold({ matches: ({ method, key }) => method === 'GET' && isIt.test(key) });
  const dataset = importDataset(system.client, options);
  return { dataset, waiting: await waitingIn(system, held, dataset, async () => (await held).request.key.split('/')[1]) };
}

export async function kill(...services: Service[]): Promise<void> {
  for (const service of services) signalAll(service, 'SIGKILL');
  for (const service of services) expect(await service.ended).toBe('ended with SIGKILL');
}

/** Kills whoever has the chunk that waits; another takes its place. */
export async function loseWorker(system: FaultSystem, { worker }: WaitingWork): Promise<void> {
  await kill(worker);
  await system.idle((await system.system.addProcess('worker')).name);
}

/** Each image once, with the bytes that were sent. */
export async function expectImported(system: FaultSystem, datasetVersionId: string, files: readonly ImportFile[]): Promise<void> {
  const lines = (list: readonly { fileName: string; sha256: string }[]) =>
    list.map(({ fileName, sha256 }) => `${fileName} ${sha256}`).sort();
  expect(lines(await samples(system.client, datasetVersionId))).toEqual(lines(files));
}

/** What was done stays as it was, given out once; what waited was done by whoever got it at last. */
export async function expectContinued(system: FaultSystem, { id, chunks }: WaitingWork, claims: number): Promise<void> {
  const after = await chunksOf(system, id);
  const isDone = chunks.map(({ status }) => status === 'DONE');
  expect(after.filter((_, index) => isDone[index])).toEqual(chunks.filter(({ status }) => status === 'DONE'));
  expect(after.map((chunk) => ({ status: chunk.status, claims: chunk.claims }))).toEqual(
    isDone.map((done) => ({ status: 'DONE', claims: done ? 1 : claims })),
  );
}

/** Rows and objects fit together, to the last one: nothing of what chunks store is left behind, since its place is its content. */
export async function expectTidy(system: FaultSystem): Promise<void> {
  expect(await brokenInvariants(system.database)).toEqual([]);
  const known = { orphans: [], incomplete: [], missing: [] };
  expect(await compareObjectsWithRows(system.database, system.system.parts.store)).toEqual(known);
}
