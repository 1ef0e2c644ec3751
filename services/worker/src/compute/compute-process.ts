import { Worker } from 'node:worker_threads';
import type { WorkerId } from '@roentgen/domain';
import type { HeldAttempt } from '@roentgen/protocol';
import { createLogger } from '@roentgen/logger';
import { loadBinding } from '@roentgen/tensorflow';
import type { WorkerConfig } from '../config.js';
import { connectRpc, type ComputeFunctions, type DeviceInfo, type NetworkFunctions, type NetworkThreadData, type Remote } from '../rpc.js';
import { ineligibleReason, type SelftestOutcome } from '../selftest/outcome.js';
import { SharedControl } from '../shared-control.js';
import { AttemptRunner } from './attempt-runner.js';
import { detectDevice } from './device.js';
import { memoryBudgetBytes } from './memory-budget.js';
import { ModelHost } from './model-host.js';

const NETWORK_THREAD = new URL('../network/network-thread-boot.mjs', import.meta.url);

export interface ComputeOptions {
  /** Of this machine; null where none was made. */
  readonly selftest: SelftestOutcome | null;
  /** As CUDA_VISIBLE_DEVICES has it. */
  readonly gpu: string;
  /** The networking thread is gone: this process cannot go on. */
  readonly onBroken: (error: Error) => void;
  /** Told before an attempt is computed, and when it is left. */
  readonly onHolding: (attempt: HeldAttempt | null) => void;
}

/** The process that computes: TensorFlow on this, the main thread, everything else on the networking thread. */
export class ComputeProcess {
  private closing: Promise<void> | null = null;

  private constructor(
    private readonly device: DeviceInfo,
    private readonly network: Remote<NetworkFunctions>,
    private readonly models: ModelHost,
    private readonly thread: Worker,
  ) {}

  /**
   * Loads TensorFlow while the networking thread connects.
   * @throws LibtensorflowMissingError, BindingError, DeviceUnavailableError
   */
  static create(config: WorkerConfig, { selftest, gpu, onBroken, onHolding }: ComputeOptions): ComputeProcess {
    const control = new SharedControl();
    const data: NetworkThreadData = { config, control: control.memory };
    const thread = new Worker(NETWORK_THREAD, { workerData: data, name: 'network' });
    thread.once('error', onBroken);
    const binding = loadBinding(config.libtensorflowPath ?? undefined);
    const detected = detectDevice(binding, config.device);
    const { intraOpThreads, interOpThreads, xla, deterministicOps } = config;
    const device: DeviceInfo = {
      ...detected,
      runtime: {
        memoryBudgetBytes: memoryBudgetBytes(detected.device, { memoryBytes: config.memoryBytes, gpu }),
        // Less than the table is not believed: it was measured once, in an empty process.
        memoryScale: Math.max(1, selftest?.memoryScale ?? 1),
        ...{ intraOpThreads, interOpThreads, xla, deterministicOps },
        ineligibleReason: selftest === null ? null : ineligibleReason(selftest.summary, config.acceptFailedChecks),
      },
      selftest: selftest?.summary ?? null,
    };
    const models = new ModelHost({ device: device.device, binding, threads: config.intraOpThreads }, control);
    const logger = createLogger('worker', config.logLevel).child({ workerId: config.workerId, thread: 'compute' });
    const network: Remote<NetworkFunctions> = connectRpc<NetworkFunctions, ComputeFunctions>(thread, {
      runAttempt: async (work) => {
        await models.close();
        onHolding({ runId: work.runId, attemptId: work.attemptId, generation: work.generation, token: work.token });
        try {
          await runner.run(work);
        } finally {
          onHolding(null);
        }
      },
      loadedModel: (checkpointId) => models.loadedModel(checkpointId),
      loadModel: (checkpointId, checkpoint) => models.loadModel(checkpointId, checkpoint),
      predict: (checkpointId, images, count) => models.predict(checkpointId, images, count),
    });
    const runner = new AttemptRunner({ binding, network, control, logger });
    return new ComputeProcess(device, network, models, thread);
  }

  /** Sends heartbeats and takes work from now on. @throws UnavailableError when broker or store did not come in time */
  async start(): Promise<{ device: DeviceInfo['device']; workerId: WorkerId; healthUrl: string | null }> {
    return { device: this.device.device, ...(await this.network.start(this.device)) };
  }

  /** Leaves its work at the next step boundary and disconnects. Idempotent. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    await this.network.stop();
    await this.models.close();
    await this.thread.terminate();
  }
}
