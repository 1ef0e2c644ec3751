import { availableParallelism } from 'node:os';
import type { FinishedNetwork } from '@roentgen/efficientnet';
import { PredictionRows, imageBlocks } from '@roentgen/training';
import type { Predictions } from '@roentgen/training';
import type * as Onnxruntime from 'onnxruntime-node';
import { OnnxRuntimeError } from '../errors.js';
import { ONNX_PORTS, exportOnnx } from '../export/export-onnx.js';

export interface OnnxSessionOptions {
  readonly network: FinishedNetwork;
  /** Images per call, for every call. */
  readonly batchSize: number;
  /** Of one operation; by default one for each processor that this process may use. */
  readonly threads?: number;
}

type Runtime = typeof Onnxruntime;

/**
 * A network that predicts on the CPU with onnxruntime. Equal images give equal bits, on one machine: shapes and number of threads are
 * fixed. A call blocks the thread while it computes, as TensorFlow's do; its promise only says when it is its turn.
 */
export class OnnxSession {
  private isClosed = false;

  private constructor(
    private readonly runtime: Runtime,
    private readonly session: Onnxruntime.InferenceSession,
    private readonly options: OnnxSessionOptions,
  ) {}

  /** @throws OnnxRuntimeError when onnxruntime is missing or refuses the model */
  static async create(options: OnnxSessionOptions): Promise<OnnxSession> {
    const runtime = await loadRuntime();
    const model = exportOnnx(options.network);
    const session = await runtime.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      intraOpNumThreads: options.threads ?? availableParallelism(),
      interOpNumThreads: 1,
      // Threads that spin while they wait for the others take the cores from whatever decodes the next images: beside other programs it is half as fast.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
      freeDimensionOverrides: { batch: options.batchSize },
      // Warnings are about the machine, such as processors that it cannot be told about; errors are thrown.
      logSeverityLevel: 3,
    }).catch((cause: unknown) => {
      throw failure('cannot load the network', cause, { variant: options.network.spec.variant, bytes: model.byteLength });
    });
    return new OnnxSession(runtime, session, options);
  }

  /** What computes, with its version: part of what is recorded with a prediction. */
  get engine(): string {
    return `onnxruntime ${this.runtime.env.versions.node ?? this.runtime.env.versions.common}`;
  }

  /**
   * @param images [count, s, s, 3] RGB bytes; any count
   * @throws InvalidBatchError when the bytes are not count images, OnnxRuntimeError when onnxruntime reports a failure
   */
  async predict(images: Uint8Array, count: number): Promise<Predictions> {
    const { batchSize, network } = this.options;
    const { imageSizePx, spec } = network;
    const rows = new PredictionRows(count, spec.numClasses);
    for (const block of imageBlocks(images, count, { batchSize, imageSizePx })) rows.set(block, await this.run(block.images));
    return rows;
  }

  /** Frees the model; safe to call twice. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.session.release();
  }

  private async run(images: Uint8Array): Promise<Pick<Predictions, 'logits' | 'probabilities'>> {
    const { batchSize, network } = this.options;
    const { imageSizePx } = network;
    // onnxruntime takes no memory that threads share.
    const own = images.buffer instanceof SharedArrayBuffer ? images.slice() : images;
    const tensor = new this.runtime.Tensor('uint8', own, [batchSize, imageSizePx, imageSizePx, 3]);
    const outputs = await this.session.run({ [ONNX_PORTS.images]: tensor }).catch((cause: unknown) => {
      throw failure('cannot run the network', cause, { variant: network.spec.variant });
    });
    const floats = (name: string): Float32Array => {
      const data = outputs[name]?.data;
      if (data instanceof Float32Array) return data;
      throw new OnnxRuntimeError(`onnxruntime gave no floats as "${name}".`, { name });
    };
    return { logits: floats(ONNX_PORTS.logits), probabilities: floats(ONNX_PORTS.probabilities) };
  }
}

/** Only when a network is to be computed: the library is 45 MB, and whoever only exports does not need it. */
async function loadRuntime(): Promise<Runtime> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw failure('cannot be loaded', cause, {});
  }
}

function failure(what: string, cause: unknown, details: Readonly<Record<string, unknown>>): OnnxRuntimeError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OnnxRuntimeError(`onnxruntime ${what}: ${reason}`, details, { cause });
}
