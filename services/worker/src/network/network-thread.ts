import { parentPort, workerData } from 'node:worker_threads';
import { connectRpc, type ComputeFunctions, type NetworkFunctions, type NetworkThreadData, type Remote } from '../rpc.js';
import { SharedControl } from '../shared-control.js';
import { createNetworkContext } from './context.js';
import { endWithParent } from './end-with-parent.js';
import { NetworkService } from './network-service.js';

if (parentPort === null) throw new TypeError('network-thread.ts runs as a thread of the compute process, not by itself.');

endWithParent();
const { config, control } = workerData as NetworkThreadData;
// Connecting overlaps with the loading of TensorFlow on the main thread; `start` waits for it and throws its error.
const connecting: Promise<NetworkService> = createNetworkContext(config).then(
  (context) => new NetworkService(config, context, compute, new SharedControl(control)),
);
connecting.catch(() => undefined);

const attempt = async () => (await connecting).attempt;

const compute: Remote<ComputeFunctions> = connectRpc<ComputeFunctions, NetworkFunctions>(parentPort, {
  start: async (device) => {
    const service = await connecting;
    await service.start(device);
    return { workerId: config.workerId, healthUrl: service.healthUrl };
  },
  stop: async () => (await connecting).stop(),
  readResumeCheckpoint: async () => (await attempt()).readResumeCheckpoint(),
  readInitialWeights: async () => (await attempt()).readInitialWeights(),
  openInput: async (startStep) => (await attempt()).openInput(startStep),
  trainingBatch: async (step) => (await attempt()).trainingBatch(step),
  evaluationBatch: async (index) => (await attempt()).evaluationBatch(index),
  releaseSlot: async (ring, slot) => (await attempt()).releaseSlot(ring, slot),
  saveCheckpoint: async (checkpoint) => (await attempt()).saveCheckpoint(checkpoint),
  report: async (event, step) => (await attempt()).report(event, step),
});
