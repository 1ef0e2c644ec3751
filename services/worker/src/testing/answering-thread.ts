import { parentPort } from 'node:worker_threads';
import { InvalidInputError } from '@roentgen/domain';
import { connectRpc, type CheckpointBytes } from '../rpc.js';

/** The other side of the test of the contract between the threads. */
export interface AnsweringThread {
  double(n: number): number;
  fail(): void;
  crash(): void;
  fill(bytes: Uint8Array, value: number): void;
  /** Gives back what it got. */
  pass(checkpoint: CheckpointBytes): CheckpointBytes;
  bytesLeftOfPassed(): number;
}

if (parentPort === null) throw new TypeError('runs as a thread');
let passed: CheckpointBytes | null = null;
connectRpc<object, AnsweringThread>(parentPort, {
  double: (n) => n * 2,
  fail: () => {
    throw new InvalidInputError('globalBatchSize 50 does not divide', [{ field: 'globalBatchSize', message: 'must divide' }], {
      globalBatchSize: 50,
    });
  },
  crash: () => {
    throw new TypeError('x is undefined');
  },
  fill: (bytes, value) => void bytes.fill(value),
  pass: (checkpoint) => (passed = checkpoint),
  bytesLeftOfPassed: () => passed?.tensors.length ?? -1,
});
