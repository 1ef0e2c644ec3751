/** Ours: files to pixels as the worker's network thread does it. Started by the benchmark `input`, see harness/contestant.ts. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decodeForModel } from '@roentgen/imaging';
import { z } from 'zod';
import { serve, type Step } from './protocol.js';

const SetupSchema = z.object({ folder: z.string(), imageSizePx: z.number(), concurrency: z.number() });

function decodingStep({ folder, imageSizePx, concurrency }: z.output<typeof SetupSchema>): Step {
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  const expectedBytes = imageSizePx * imageSizePx * 3;
  return async () => {
    let next = 0;
    const decodeInTurn = async () => {
      for (let file = files[next++]; file !== undefined; file = files[next++]) {
        const { length } = await decodeForModel(file, imageSizePx);
        if (length !== expectedBytes) throw new Error(`${length} bytes instead of ${expectedBytes}`);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, decodeInTurn));
  };
}

await serve(SetupSchema, decodingStep);
