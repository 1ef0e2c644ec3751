/** Started as a process of its own by `peakOf`: peak memory belongs to a process. Says `Peak` once, on its message channel. */
import { readFileSync } from 'node:fs';
import { parseTrainingRecipe } from '@roentgen/domain';
import { Graph, Layers, Session, expectDType, loadBinding, ops } from '@roentgen/tensorflow';
import type { Attributes, Node, NodeOptions, Tensor, TensorSpec } from '@roentgen/tensorflow';
import { assembleMicroBatch } from '../micro-batch.js';
import { noiseSamples } from '../noise-samples.js';
import { TrainingPlan } from '../plan.js';
import { TrainingSession } from '../training-session.js';
import type { Peak, Work } from './peak-of.js';

const RUNS = 3;

function residentBytes(field: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

/** What the runs added at most to what the process held before them. */
function peakOfRuns(run: () => void): Peak {
  const before = residentBytes('VmRSS');
  for (let i = 0; i < RUNS; i++) run();
  return { addedBytes: residentBytes('VmHWM') - before };
}

/** A graph that forgets that nodes wait for others. */
class ImpatientGraph extends Graph {
  override addNode(
    op: string,
    inputs: readonly Tensor[],
    attributes: Attributes,
    outputs: readonly TensorSpec[],
    options: NodeOptions = {},
  ): Node {
    return super.addNode(op, inputs, attributes, outputs, { ...options, controls: [] });
  }
}

const PARTS = 12;
const [NARROW, WIDE] = [4, 48];
const CONVENTIONS = { padding: 'same', batchNormEpsilon: 1e-3, activation: 'silu' } as const;

/** Parts that are narrow at their ends and wide within, like those of the network, but nothing else. */
function bottlenecks(kind: Exclude<Work['kind'], 'network'>): Peak {
  const graph = kind === 'merged-parts' ? new ImpatientGraph() : new Graph();
  const kernel = (name: string, from: number, to: number): [string, Tensor] => [
    `${name}/kernel`,
    ops.identity(graph, graph.constant('float32', [1, 1, from, to], new Float32Array(from * to).fill(0.1))),
  ];
  const names = Array.from({ length: PARTS }, (_, part) => `part${part}`);
  const parameters = new Map(names.flatMap((name) => [kernel(`${name}/expand`, NARROW, WIDE), kernel(`${name}/project`, WIDE, NARROW)]));
  const common = { graph, parameters, statistics: new Map<string, Tensor>(), conventions: CONVENTIONS };
  const nn = new Layers({ ...common, batchNorm: 'batch', dropoutSeed: null, recompute: kind !== 'kept-parts' });
  const x = graph.placeholder('x', 'float32', [4, 128, 128, NARROW]);
  const y = names.reduce<Tensor>(
    (input, name) =>
      nn.segment(input, (part, narrow) => {
        const wide = part.silu(part.conv(narrow, { name: `${name}/expand`, stride: 1 }));
        return part.add(narrow, part.conv(wide, { name: `${name}/project`, stride: 1 }));
      }),
    x,
  );
  const gradients = nn.tape.gradients(y, [...parameters.values()]);
  const fetches = gradients.map((gradient, index) => [`gradient${index}`, expectDType(ops.identity(graph, gradient), 'float32')] as const);
  const endpoint = graph.endpoint('gradients', { x }, Object.fromEntries(fetches));
  const session = Session.load(loadBinding(), graph.compile());
  const data = new Float32Array(4 * 128 * 128 * NARROW).fill(0.01);
  return peakOfRuns(() => void session.run(endpoint, { x: { data, shape: x.shape } }));
}

function network(recipeInput: unknown): Peak {
  const recipe = parseTrainingRecipe(recipeInput);
  const session = TrainingSession.create({ binding: loadBinding(), recipe, numClasses: 2 });
  session.setState(session.initialState(0));
  const samples = noiseSamples(recipe.microBatchSize, recipe.imageSizePx, 2);
  const plan = new TrainingPlan(recipe, samples.length);
  const batch = assembleMicroBatch(plan.microBatches(0)[0]!, recipe.imageSizePx, (index) => samples[index]!);
  return peakOfRuns(() => void session.gradients(batch, plan.dropoutSeed(0, 0)));
}

process.once('message', (work: Work) => {
  const peak = work.kind === 'network' ? network(work.recipe) : bottlenecks(work.kind);
  process.send!(peak, () => process.disconnect());
});
