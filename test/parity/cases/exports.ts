import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { EfficientNetVariant } from '@roentgen/domain';
import type { FinishedNetwork } from '@roentgen/efficientnet';
import { exportOnnx } from '@roentgen/onnx';
import { exportSafetensors, exportSavedModel } from '@roentgen/training';
import { z } from 'zod';
import type { Measurement, ParityCase, ParityContext } from '../context.js';
import { conventionsOf } from '../conventions.js';
import type { Library } from '../conventions.js';
import { maxDistance } from '../distances.js';
import { networkRequest, ourPredictions, randomVectors, specOf } from '../network.js';
import type { NetworkSetup } from '../network.js';
import { LOGITS_BOUND, LogitsSchema, checkSpread } from './logits.js';

const OutputsSchema = z.strictObject({ logits: LogitsSchema, probabilities: LogitsSchema });
type Outputs = z.output<typeof OutputsSchema>;

type Request = ReturnType<typeof networkRequest>;
type Export = (context: ParityContext, network: FinishedNetwork, request: Request, library: Library) => Promise<Partial<Outputs>>;

/** Each format is read again by the runtime that it is made for. */
const EXPORTS: Readonly<Record<string, Export>> = {
  'tensorflow/saved-model': async (context, network, request) => {
    const folder = context.path('saved-model');
    for (const [path, bytes] of exportSavedModel(network)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), bytes);
    }
    const peer = await context.peers.get('keras');
    return peer.ask('load_saved_model', { ...request, folder }, OutputsSchema);
  },
  'onnxruntime/onnx': async (context, network, request) => {
    const file = context.path('model.onnx');
    writeFileSync(file, exportOnnx(network));
    const peer = await context.peers.get('onnxruntime');
    return peer.ask('run', { ...request, file }, OutputsSchema);
  },
  'timm/safetensors': async (context, network, request, library) => {
    const file = context.path('model.safetensors');
    writeFileSync(file, exportSafetensors(network));
    const peer = await context.peers.get('pytorch');
    return { logits: await peer.ask('load_exported', { ...request, library, file }, LogitsSchema) };
  },
};

const NETWORKS: readonly (readonly [Library, EfficientNetVariant])[] = [
  ['timm-tf', 'B0'],
  ['timm', 'B0'],
  ['timm-tf', 'B3'],
  ['timm-tf', 'Lite0'],
];

export const exportCases: readonly ParityCase[] = Object.entries(EXPORTS).flatMap(([format, readAgain]) =>
  NETWORKS.map(([library, variant]) => {
    const setup: NetworkSetup = { variant, conventions: conventionsOf(library, variant), imageSizePx: 75, batchSize: 3 };
    return {
      name: `exports/${format}/${variant}-${setup.conventions.padding}@75`,
      measure: async (context) => {
        const spec = specOf(setup);
        const vectors = randomVectors(context, setup);
        const network = { spec, imageSizePx: setup.imageSizePx, ...vectors };
        const theirs = await readAgain(context, network, networkRequest(context, setup, spec, vectors), library);
        checkSpread(theirs.logits ?? []);
        return compareOutputs(ourPredictions(context, setup, vectors), theirs);
      },
    };
  }),
);

function compareOutputs(ours: Readonly<Record<keyof Outputs, Float32Array>>, theirs: Partial<Outputs>): Measurement[] {
  return (['logits', 'probabilities'] as const).flatMap((what) => {
    const values = theirs[what];
    return values ? [{ what, distance: maxDistance(ours[what], values.flat()), bound: LOGITS_BOUND }] : [];
  });
}
