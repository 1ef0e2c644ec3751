import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { WeightsFileError, importWeightsFile } from '@roentgen/weights';
import { ImportTaskSchema, type ImportAnswer, type ImportTask } from './weights/import-process.js';

/** Reads one file of weights and writes our own; see import-process.ts. */
async function answerTo({ file, target, variant, library, catalogueName, sha256 }: ImportTask): Promise<ImportAnswer> {
  try {
    const bytes = readFileSync(file);
    const found = createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== null && sha256 !== found) {
      throw new WeightsFileError('WEIGHTS_DIGEST', { value: `a file with the SHA-256 ${found}`, rule: `announced was ${sha256}` });
    }
    const imported = await importWeightsFile(bytes, {
      variant: variant ?? undefined,
      library: library ?? undefined,
      catalogueName: catalogueName ?? undefined,
    });
    writeFileSync(target, imported.bytes);
    return { ok: true, weights: imported.weights };
  } catch (thrown) {
    if (thrown instanceof WeightsFileError) return { ok: false, code: thrown.code, message: thrown.message };
    if (thrown instanceof RangeError && /allocation failed|Invalid typed array length/i.test(thrown.message)) {
      return {
        ok: false,
        code: 'WEIGHTS_LIMIT',
        message:
          'the file takes more memory to read than a worker gives it (WORKER_WEIGHTS_MEMORY_BYTES). Convert it to safetensors first.',
      };
    }
    throw thrown;
  }
}

const answer = await answerTo(ImportTaskSchema.parse(JSON.parse(process.argv[2] ?? '')));
process.stdout.write(JSON.stringify(answer));
