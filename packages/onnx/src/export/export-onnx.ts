import { forward, normalizationTerms } from '@roentgen/efficientnet';
import type { ExportMetadata, FinishedNetwork } from '@roentgen/efficientnet';
import { encodeModel } from './encode-model.js';
import { OnnxLayers } from './onnx-layers.js';
import type { FeatureMap } from './onnx-layers.js';

/** Operations as of this version (ONNX 1.12): every runtime of the last years has them, and none of the later ones is needed. */
export const ONNX_OPSET = 17;
/** File format of the same release. */
const IR_VERSION = 8;

/** Names and shapes by which the exported graph is called; `s` is the network's image size, `k` its number of classes. */
export const ONNX_PORTS = {
  /** uint8 [batch, s, s, 3], RGB */
  images: 'images',
  /** float32 [batch, k] */
  logits: 'logits',
  /** float32 [batch, k], softmax of the logits */
  probabilities: 'probabilities',
} as const;

/** NHWC → NCHW. */
const CHANNELS_FIRST = [0, 3, 1, 2];

/**
 * The network as an .onnx file that takes what our own prediction takes: RGB bytes [batch, s, s, 3], any number at a time. Normalisation is in the
 * graph; inside it is NCHW. Batch norm is folded into the convolutions (see OnnxLayers).
 *
 * @param metadata goes into `metadata_props`, as it is
 * @throws OnnxExportError when weights and network do not belong together
 */
export function exportOnnx(network: FinishedNetwork, metadata: ExportMetadata = {}): Uint8Array {
  const { spec, imageSizePx } = network;
  const nn = new OnnxLayers(network);
  const logits = forward(nn, spec, normalized(nn, network), { dropoutRate: 0, dropConnectRate: 0 });
  nn.node('Identity', ONNX_PORTS.logits, [logits.name]);
  nn.node('Softmax', ONNX_PORTS.probabilities, [logits.name], { axis: 1 });
  const perClass = { elementType: 'float32', shape: ['batch', spec.numClasses] } as const;
  return encodeModel({
    graphName: `EfficientNet ${spec.variant}`,
    producer: { name: 'roentgen', version: '1' },
    irVersion: IR_VERSION,
    opset: ONNX_OPSET,
    nodes: nn.nodes,
    initializers: nn.initializers,
    inputs: [{ name: ONNX_PORTS.images, elementType: 'uint8', shape: ['batch', imageSizePx, imageSizePx, 3] }],
    outputs: [
      { name: ONNX_PORTS.logits, ...perClass },
      { name: ONNX_PORTS.probabilities, ...perClass },
    ],
    metadata,
  });
}

/** Bytes are moved before they become floats four times their size. */
function normalized(nn: OnnxLayers, { spec, imageSizePx }: FinishedNetwork): FeatureMap {
  const { offset, factor } = normalizationTerms(spec.conventions.normalization);
  const perChannel = (values: readonly number[]) => ({ shape: [1, 3, 1, 1], data: Float32Array.from(values) });
  const moved = nn.node('Transpose', 'images/channels_first', [ONNX_PORTS.images], { perm: CHANNELS_FIRST });
  const floats = nn.node('Cast', 'images/float', [moved], { to: 1 });
  const centred = nn.node('Sub', 'images/centred', [floats, nn.constant('normalization/offset', perChannel(offset))]);
  const name = nn.node('Mul', 'images/normalized', [centred, nn.constant('normalization/factor', perChannel(factor))]);
  return { name, channels: 3, heightPx: imageSizePx, widthPx: imageSizePx };
}
