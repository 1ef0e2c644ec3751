import { createHash } from 'node:crypto';
import { parseTrainingRecipe } from '@roentgen/domain';
import { REFERENCE_CONVENTIONS, efficientNetSpec, initializeModel } from '@roentgen/efficientnet';
import { viewEntry } from '@roentgen/tensorflow';
import { beforeAll, expect, test } from 'vitest';
import { decodeCheckpoint, decodeModel, encodeCheckpoint } from './checkpoint.js';
import type { EncodedCheckpoint } from './checkpoint.js';
import { CheckpointError } from './errors.js';
import { stateVectors } from './optimizer/training-state.js';
import type { TrainingState } from './optimizer/training-state.js';
import { decodeSafetensors, encodeSafetensors } from './safetensors.js';

const facts = {
  recipe: parseTrainingRecipe({ imageSizePx: 32 }),
  classes: ['normal', 'pneumonia'],
  epoch: 2,
  step: 17,
  conventions: { ...REFERENCE_CONVENTIONS, padding: 'symmetric', batchNormEpsilon: 1e-5 } as const,
  metrics: null,
};
let state: TrainingState;
let encoded: EncodedCheckpoint;

beforeAll(() => {
  const spec = efficientNetSpec('B0', 2);
  const slots = { m: new Float32Array(spec.parameters.length), v: initializeModel(spec, 2).weights };
  state = { ...initializeModel(spec, 1), slots, ema: null, lossScaling: null };
  encoded = encodeCheckpoint(state, facts);
});

const sameBits = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

function expectSameState(a: TrainingState, b: TrainingState): void {
  const [left, right] = [stateVectors(a), stateVectors(b)];
  expect(Object.keys(left)).toEqual(Object.keys(right));
  for (const [name, vector] of Object.entries(left)) expect(sameBits(vector, right[name]!), name).toBe(true);
}

/** The checkpoint with other tensors but a description that fits the new bytes. */
function withTensors(
  change: (tensors: ReturnType<typeof decodeSafetensors>) => Parameters<typeof encodeSafetensors>[0],
): [Uint8Array, unknown] {
  const tensors = encodeSafetensors(change(decodeSafetensors(encoded.tensors)), {});
  const sha256 = createHash('sha256').update(tensors).digest('hex');
  return [tensors, { ...encoded.description, tensors: { sha256, bytes: tensors.length } }];
}

test('a checkpoint comes back bit by bit, through JSON', () => {
  const decoded = decodeCheckpoint(encoded.tensors, JSON.parse(JSON.stringify(encoded.description)));
  expect(decoded.description).toEqual(encoded.description);
  expectSameState(decoded.state, state);
});

test('a checkpoint from before conventions were written down has those of the authors', () => {
  const { conventions, ...rest } = encoded.description;
  const preprocessing = { inputRange: 'uint8', scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const { description } = decodeCheckpoint(encoded.tensors, { ...rest, preprocessing });
  expect(description).toEqual({ ...rest, conventions: REFERENCE_CONVENTIONS });
  expect(description.conventions).not.toEqual(conventions);
});

test('conventions that nobody knows are refused: predicting under others would be silently wrong', () => {
  const unknown = { ...encoded.description.conventions, padding: 'static' };
  expect(() => decodeModel(encoded.tensors, { ...encoded.description, conventions: unknown })).toThrow(/conventions\.padding/);
});

test.each([
  { optimizer: { kind: 'adamw' }, emaDecay: 0.99 },
  { optimizer: { kind: 'sgd' }, emaDecay: null },
])('the state of $optimizer.kind with emaDecay $emaDecay comes back bit by bit', (input) => {
  const recipe = parseTrainingRecipe({ ...facts.recipe, ...input });
  const filled = (value: number) => maskedLike(state.weights, value);
  const slots = recipe.optimizer.kind === 'sgd' ? { momentum: filled(1) } : { m: filled(1), v: filled(2) };
  const other: TrainingState = { ...state, slots, ema: recipe.emaDecay === null ? null : filled(3) };
  const { tensors, description } = encodeCheckpoint(other, { ...facts, recipe });
  expectSameState(decodeCheckpoint(tensors, description).state, other);
});

test('the loss scale of an fp16 run comes back, and is missed where it is not there', () => {
  const recipe = parseTrainingRecipe({ ...facts.recipe, precision: 'fp16' });
  const lossScaling = { scale: 4096, steadySteps: 17, skippedSteps: 3 };
  const { tensors, description } = encodeCheckpoint({ ...state, lossScaling }, { ...facts, recipe });
  expect(decodeCheckpoint(tensors, description).state.lossScaling).toEqual(lossScaling);
  expect(() => decodeCheckpoint(encoded.tensors, { ...encoded.description, recipe })).toThrow(
    '"loss_scaling" of an fp16 run is missing or wrong',
  );
});

test('with a moving average the model is that average, under the plain names too', () => {
  const recipe = parseTrainingRecipe({ ...facts.recipe, emaDecay: 0.99 });
  const ema = maskedLike(state.weights, 0.5);
  const { tensors, description } = encodeCheckpoint({ ...state, ema }, { ...facts, recipe });
  expect(sameBits(decodeModel(tensors, description).weights, ema)).toBe(true);
  const named = decodeSafetensors(tensors);
  expect(named.get('stem_conv/kernel')?.data[0]).toBe(0.5);
  expect(named.get('raw/stem_conv/kernel')?.data[0]).toBe(state.weights[0]);
});

test('a checkpoint from the time when Adam was the only optimiser is still read', () => {
  const [bytes, description] = withTensors((tensors) =>
    [...tensors.values()].map((tensor) => ({ ...tensor, name: tensor.name.replace(/^optimizer\//, 'adam/') })),
  );
  const { optimizer } = encoded.description.recipe;
  const known = ['variant', 'imageSizePx', 'epochs', 'globalBatchSize', 'microBatchSize', 'learningRate', 'seed'] as const;
  const recipe = Object.fromEntries(known.map((name) => [name, encoded.description.recipe[name]]));
  const old = { ...Object(description), recipe: { ...recipe, optimizer, schedule: { kind: 'cosine', warmupSteps: 2 } } };
  expectSameState(decodeCheckpoint(bytes, old).state, state);
});

/** `value` everywhere but in the padding, which a file does not hold. */
function maskedLike(vector: Float32Array, value: number): Float32Array {
  const { entries } = efficientNetSpec('B0', 2).parameters;
  const result = new Float32Array(vector.length);
  for (const entry of entries) viewEntry(result, entry).fill(value);
  return result;
}

test('the file is named per parameter, so that other programs can read it', () => {
  const tensors = decodeSafetensors(encoded.tensors);
  expect(tensors.get('block1a_dwconv/kernel')?.shape).toEqual([3, 3, 32, 1]);
  expect(tensors.get('optimizer/m/predictions/bias')?.shape).toEqual([2]);
  expect(tensors.get('stem_bn/moving_variance')?.data[0]).toBe(1);
});

test('prediction needs only weights and statistics', () => {
  const [bytes, description] = withTensors((tensors) => [...tensors.values()].filter(({ name }) => !name.startsWith('optimizer/')));
  expect(sameBits(decodeModel(bytes, description).weights, state.weights)).toBe(true);
  expect(() => decodeCheckpoint(bytes, description)).toThrow('tensor "optimizer/m/stem_conv/kernel" [3, 3, 3, 32] is missing');
});

test('a damaged, truncated or foreign file is refused with its reason', () => {
  const flipped = encoded.tensors.slice();
  flipped[flipped.length - 1]! ^= 1;
  expect(() => decodeCheckpoint(flipped, encoded.description)).toThrow(/SHA-256 .* is damaged/);
  expect(() => decodeCheckpoint(encoded.tensors.subarray(0, -4), encoded.description)).toThrow(/truncated/);
  expect(() => decodeCheckpoint(encoded.tensors, { ...encoded.description, format: 'roentgen-checkpoint/9' })).toThrow(CheckpointError);
  expect(() => decodeCheckpoint(encoded.tensors, { ...encoded.description, classes: ['a', 'b', 'c'] })).toThrow(/laid out/);
  expect(() => decodeCheckpoint(encoded.tensors, null)).toThrow(CheckpointError);
});

test('a tensor of another shape and one too many are refused', () => {
  const reshaped = withTensors((tensors) =>
    [...tensors.values()].map((tensor) => (tensor.name === 'predictions/bias' ? { ...tensor, shape: [1, 2] } : tensor)),
  );
  expect(() => decodeModel(...reshaped)).toThrow('tensor "predictions/bias" has shape [1, 2], expected [2]');
  const extra = withTensors((tensors) => [...tensors.values(), { name: 'extra', shape: [1], data: Float32Array.of(1) }]);
  expect(() => decodeCheckpoint(...extra)).toThrow(/holds \d+ tensors, this network and its optimiser have \d+/);
});
