import { efficientNetSpec } from '@roentgen/efficientnet';
import type { ExportMetadata, FinishedNetwork } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import type { CheckpointDescription, Model } from '../checkpoint.js';
import { encodeSafetensors } from '../safetensors.js';
import { buildFrozenGraph } from '../training-graph.js';

export const EXPORT_FORMAT = 'roentgen-export/1';

/** The network that a checkpoint's model is. */
export function networkOf({ description, weights, statistics }: Model): FinishedNetwork {
  const { variant, classes, conventions, imageSizePx } = description;
  return { spec: efficientNetSpec(variant, classes.length, conventions), imageSizePx, weights, statistics };
}

/** What whoever has only the exported file needs to know: which class is which, how images are prepared, and what it was exported from. */
export function exportMetadata(description: CheckpointDescription): ExportMetadata {
  const { variant, imageSizePx, classes, conventions, epoch, step, tensors } = description;
  return {
    format: EXPORT_FORMAT,
    variant,
    imageSizePx: String(imageSizePx),
    classes: JSON.stringify(classes),
    conventions: JSON.stringify(conventions),
    epoch: String(epoch),
    step: String(step),
    checkpointSha256: tensors.sha256,
  };
}

/**
 * The network as a TensorFlow SavedModel: the files of its folder by their paths in it. Weights are constants of the graph. Signature `serving_default`:
 * images uint8 [batch, s, s, 3] RGB → logits and probabilities float32 [batch, k], any number of images at a time. The metadata is beside it as JSON,
 * in the folder that TensorFlow leaves to programs.
 */
export function exportSavedModel(network: FinishedNetwork, metadata: ExportMetadata = {}): ReadonlyMap<string, Uint8Array> {
  return new Map([
    ['saved_model.pb', buildFrozenGraph(network).savedModel],
    ['assets.extra/roentgen.json', new TextEncoder().encode(`${JSON.stringify(metadata, null, 2)}\n`)],
  ]);
}

/** The network's named tensors as a safetensors file: weights and running statistics, nothing of the optimiser. */
export function exportSafetensors({ spec, weights, statistics }: FinishedNetwork, metadata: ExportMetadata = {}): Uint8Array {
  const parts = [
    { layout: spec.parameters, vector: weights },
    { layout: spec.statistics, vector: statistics },
  ];
  const tensors = parts.flatMap(({ layout, vector }) =>
    layout.entries.map((entry) => ({ name: entry.name, shape: entry.shape, data: viewEntry(vector, entry) })),
  );
  return encodeSafetensors(tensors, metadata);
}
