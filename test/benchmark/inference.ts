/**
 * Prediction (probabilities of 1000 classes, float32) beside Keras, PyTorch and onnxruntime (on timm's network) on the CPU.
 *
 *   npm run benchmark -- inference [--json] [--rounds 5] [--steps 8] [--cases b0-224-1,b0-224-32] [--threads 2]
 *     [--peers keras,pytorch,onnxruntime]
 */
import { compareModels } from './harness/compare-models.js';
import { imagesPerSecond } from './harness/report.js';
import { runBenchmark } from './harness/run-benchmark.js';

await runBenchmark({ cases: 'b0-224-1,b0-224-32,b3-300-1,b3-300-32', steps: 8, peers: ['keras', 'pytorch', 'onnxruntime'] }, (options) =>
  compareModels('inference', ({ batchSize }) => imagesPerSecond(batchSize), options),
);
