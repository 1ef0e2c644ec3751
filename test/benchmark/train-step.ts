/**
 * One training step (forward, backward, Adam; float32, batch statistics, 1000 classes, no dropout) beside Keras and PyTorch on the CPU.
 *
 *   npm run benchmark -- train-step [--json] [--rounds 5] [--steps 4] [--cases b0-224-8,b3-300-4] [--peers keras,pytorch] [--threads 2]
 */
import { compareModels } from './harness/compare-models.js';
import { MS_PER_STEP } from './harness/report.js';
import { runBenchmark } from './harness/run-benchmark.js';

await runBenchmark({ cases: 'b0-224-8,b3-300-4', steps: 4, peers: ['keras', 'pytorch'] }, (options) =>
  compareModels('train-step', () => MS_PER_STEP, options),
);
