import { newId, parseTrainingRecipe, type TrainingRecipe } from '@roentgen/domain';
import { efficientNetSpec, initializeModel, type EfficientNetSpec } from '@roentgen/efficientnet';
import { encodeSafetensors, loadBinding, viewEntry, type StateLayout } from '@roentgen/tensorflow';
import { TrainingSession } from '@roentgen/training';
import { decodeWeights, importWeightsFile, modelConventions } from '@roentgen/weights';
import { expect, test } from 'vitest';
import { startTraining } from './initial-weights.js';

const binding = loadBinding();
const recipe = parseTrainingRecipe({ variant: 'B0', imageSizePx: 32, globalBatchSize: 2, microBatchSize: 2, emaDecay: 0.9, seed: 5 });

function work(classes: readonly string[], of: TrainingRecipe = recipe) {
  const initialWeights = { weightSetId: newId('wts'), name: 'pretrained', objectKey: 'k', sha256: 'a'.repeat(64), bytes: 1 };
  const projectId = newId('prj');
  const dataset = { datasetVersionId: newId('dsv'), projectId, manifestKey: 'm', manifestSha256: 'b'.repeat(64), classes: [...classes] };
  return { recipe: of, dataset, initialWeights };
}

/** What an import makes of a Keras file with other random weights, statistics included. */
async function importedWeights(classes: number) {
  const spec = efficientNetSpec('B0', classes);
  const model = initializeModel(spec, 99);
  model.statistics.forEach((value, i) => (model.statistics[i] = value + 0.5 + (i % 7) / 10));
  const named = (layout: StateLayout, vector: Float32Array) =>
    layout.entries.map((entry) => ({ name: entry.name, shape: entry.shape, data: viewEntry(vector, entry) }));
  const file = encodeSafetensors([...named(spec.parameters, model.weights), ...named(spec.statistics, model.statistics)], {});
  return { model, spec, weights: decodeWeights((await importWeightsFile(file)).bytes) };
}

const tensor = (spec: EfficientNetSpec, vector: Float32Array, name: string) => {
  const entry = [...spec.parameters.entries, ...spec.statistics.entries].find((candidate) => candidate.name === name);
  if (!entry) throw new Error(`no tensor ${name}`);
  return Buffer.from(Float32Array.from(viewEntry(vector, entry)).buffer);
};
const isHead = (name: string) => name.startsWith('predictions/');

test('training starts with exactly the imported weights and statistics, and with a seeded fresh classifier where the classes differ', async () => {
  const { model, spec, weights } = await importedWeights(5);
  const conventions = modelConventions(weights.description.conventions);
  const session = TrainingSession.create({ binding, recipe, numClasses: 2, conventions });
  const message = startTraining(session, work(['normal', 'pneumonia']), weights);
  const state = session.getState();
  const fresh = initializeModel(session.spec, recipe.seed);

  for (const { name } of session.spec.parameters.entries) {
    const expected = isHead(name) ? tensor(session.spec, fresh.weights, name) : tensor(spec, model.weights, name);
    expect(tensor(session.spec, state.weights, name).equals(expected), name).toBe(true);
  }
  for (const { name } of session.spec.statistics.entries) {
    expect(tensor(session.spec, state.statistics, name).equals(tensor(spec, model.statistics, name)), name).toBe(true);
  }
  expect(Buffer.from(state.ema!.buffer).equals(Buffer.from(state.weights.buffer))).toBe(true);
  expect(Object.values(state.slots).every((slot) => slot.every((value) => value === 0))).toBe(true);
  expect(message).toBe('starts from weight set "pretrained" (B0 of keras); the classifier starts fresh for 2 classes (theirs is for 5).');

  // Another seed changes the classifier and nothing else.
  startTraining(session, work(['normal', 'pneumonia'], { ...recipe, seed: 6 }), weights);
  const other = session.getState();
  for (const { name } of session.spec.parameters.entries) {
    const same = tensor(session.spec, other.weights, name).equals(tensor(session.spec, state.weights, name));
    expect(same, name).toBe(name !== 'predictions/kernel');
  }
  session.close();
});

test('with as many classes the imported classifier stays; without weights everything is fresh', async () => {
  const { model, spec, weights } = await importedWeights(2);
  const session = TrainingSession.create({ binding, recipe, numClasses: 2 });
  expect(startTraining(session, work(['a', 'b']), weights)).toContain('with their classifier for 2 classes');
  const state = session.getState();
  expect(tensor(spec, state.weights, 'predictions/kernel').equals(tensor(spec, model.weights, 'predictions/kernel'))).toBe(true);

  expect(startTraining(session, work(['a', 'b']), null)).toBeNull();
  const fresh = session.digest();
  session.setState(session.initialState(recipe.seed));
  expect(session.digest()).toBe(fresh);
  session.close();
});

test('weights of another variant are refused', async () => {
  const { weights } = await importedWeights(2);
  const started = { spec: efficientNetSpec('B1', 2), start: () => expect.unreachable('it was started') };
  expect(() => startTraining(started, work(['a', 'b']), weights)).toThrow('weights of EfficientNet-B0: the network is EfficientNet-B1');
});
