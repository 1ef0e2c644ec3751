import { availableParallelism } from 'node:os';
import type { Device } from '@roentgen/domain';
import { OnnxSession } from '@roentgen/onnx';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import { PredictionSession, networkOf } from '@roentgen/training';
import type { Model, Predictions } from '@roentgen/training';

/** A model in memory, on the engine that is fastest on the device. */
export interface PredictionEngine {
  /** With its version, such as `onnxruntime 1.30.0`. */
  readonly name: string;
  /** Images are `[count, size, size, 3]` RGB bytes. */
  predict(images: Uint8Array, count: number): Promise<Predictions>;
  close(): Promise<void>;
}

export interface PredictionEngineOptions {
  readonly device: Device;
  readonly binding: TensorFlowBinding;
  /** Of one operation on the CPU; 0: one for each processor. */
  readonly threads: number;
  /** Images that will be asked for at once. */
  readonly batchSize: number;
}

/** On a CPU onnxruntime, 2 to 3 times as fast as TensorFlow for one image; on a GPU the session, which is there anyway. */
export function createPredictionEngine(model: Model, options: PredictionEngineOptions): Promise<PredictionEngine> {
  return options.device === 'cpu' ? onnxEngine(model, options) : Promise.resolve(tensorflowEngine(model, options));
}

/** One image at a time: what a batch would save in calls it loses in the caches (a third of the speed at 16 images of B0). */
const CPU_BATCH_SIZE = 1;

async function onnxEngine(model: Model, { threads }: PredictionEngineOptions): Promise<PredictionEngine> {
  const session = await OnnxSession.create({
    network: networkOf(model),
    batchSize: CPU_BATCH_SIZE,
    threads: threads === 0 ? availableParallelism() : threads,
  });
  return {
    name: session.engine,
    predict: (images, count) => session.predict(images, count),
    close: () => session.close(),
  };
}

/** A session's calls are synchronous: what they throw comes out of the promise too. */
const settled = <T>(call: () => T): Promise<T> => new Promise((resolve) => resolve(call()));

function tensorflowEngine(model: Model, { binding, batchSize }: PredictionEngineOptions): PredictionEngine {
  const { variant, classes, imageSizePx, conventions } = model.description;
  const session = PredictionSession.create({ binding, variant, numClasses: classes.length, imageSizePx, batchSize, conventions });
  session.setWeights(model);
  return {
    name: `tensorflow ${binding.TF_Version}`,
    predict: (images, count) => settled(() => session.predict(images, count)),
    close: () => settled(() => session.close()),
  };
}
