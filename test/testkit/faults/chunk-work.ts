import type { Service } from '@roentgen/cli';
import type { ImportFile } from '@roentgen/client';
import { expect, vi } from 'vitest';
import { z } from 'zod';
import { EVENTUALLY, named, type FaultSystem } from './fault-system.js';
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

/** The request for one image, by whoever predicts it. */
export const readingOf = ({ sha256 }: ImportFile) => ({
  matches: ({ method, key }: { method: string; key: string }) => method === 'GET' && key.endsWith(`/objects/${sha256}`),
});

/** The request for a file as it was sent, by whoever inspects it. */
export const inspectionOf = (ordinal: number) => ({
  matches: ({ method, key }: { method: string; key: string }) =>
    method === 'GET' && key.startsWith('staging/') && key.endsWith(`/${ordinal}`),
});

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
