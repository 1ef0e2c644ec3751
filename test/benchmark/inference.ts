/**
 * Prediction (probabilities of 1000 classes, float32) beside Keras and PyTorch on the CPU.
 *
 *   npm run benchmark -- inference [--json] [--rounds 5] [--steps 8] [--cases b0-224-1,b0-224-32] [--peers keras,pytorch] [--threads 2]
 */
import { compareModels } from './harness/compare-models.js';
import { imagesPerSecond } from './harness/report.js';
import { runBenchmark } from './harness/run-benchmark.js';

await runBenchmark({ cases: 'b0-224-1,b0-224-32,b3-300-1,b3-300-32', steps: 8, peers: ['keras', 'pytorch'] }, (options) =>
  compareModels('inference', ({ batchSize }) => imagesPerSecond(batchSize), options),
);
