import type { ParityCase } from '../context.js';
import { exportCases } from './exports.js';
import { gradientCases } from './gradients.js';
import { logitCases } from './logits.js';
import { preprocessingCases } from './preprocessing.js';
import { shapeCases } from './shapes.js';
import { trainingCases } from './training.js';
import { weightCases } from './weights.js';

export const PARITY_CASES: readonly ParityCase[] = [
  ...shapeCases,
  ...logitCases,
  ...gradientCases,
  ...trainingCases,
  ...preprocessingCases,
  ...weightCases,
  ...exportCases,
];
