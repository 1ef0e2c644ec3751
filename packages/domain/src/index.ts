/**
 * Terminology
 *
 * - **project**: the wall between tenants; every object below belongs to exactly one.
 * - **upload**: files on their way in, before they are known to be images; the base of a dataset version or of a prediction job.
 * - **dataset**, **dataset version**: a named collection, and one immutable state of it (its manifest: which image, label, patient, split).
 * - **sample**: one image of a dataset version. **split**: train, val or test, grouped by patient.
 * - **training run**: one recipe on one dataset version. **attempt**: one try at it by one worker (later: one group of workers).
 * - **step**: one optimiser update. **epoch**: one pass over the train split. **micro-batch**: what one session call computes.
 * - **weight set**: weights to start training from, imported from a file of another library.
 * - **checkpoint**: everything needed to go on from a step. **model**: the checkpoint that a finished run stands for.
 * - **prediction job**: a model over a split or an upload, cut into **chunks** that workers take from a queue.
 * - **token** (fence): a secret given with an attempt or a chunk; whoever was given a newer one makes the older one powerless.
 * - **generation**: counts the owners of a run; fences them like the token does.
 */
export * from './access.js';
export * from './entities.js';
export * from './errors.js';
export * from './fork-recipe.js';
export * from './ids.js';
export * from './janitor.js';
export * from './lifecycle/index.js';
export * from './memory-model.js';
export * from './metrics.js';
export * from './micro-batch-size.js';
export * from './ports.js';
export * from './recipe.js';
export * from './recipe-augmentation.js';
export * from './recipe-optimization.js';
export * from './run-events.js';
export * from './run-state.js';
export * from './waiting.js';
export * from './weight-set-request.js';
export * from './weights.js';
export * from './worker.js';
