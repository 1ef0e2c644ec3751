import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SessionError } from '../errors.js';
import type { Endpoint, Feeds, Fetches, NamedTensors } from '../graph/endpoint.js';
import type { CompiledGraph } from '../graph/graph.js';
import { DATA_TYPES, sizeOf } from '../graph/tensor.js';
import type { HostArray, HostDType, Tensor } from '../graph/tensor.js';
import { SERVE_TAG } from '../proto/saved-model.js';
import type { TensorFlowBinding } from './binding.js';
import { checkFeeds } from './feeds.js';

const EMPTY: Readonly<Record<HostDType, (length: number) => HostArray>> = {
  float32: (length) => new Float32Array(length),
  int32: (length) => new Int32Array(length),
  uint8: (length) => new Uint8Array(length),
};

/**
 * A compiled graph with its variables. Every call is synchronous and blocks the thread. Fetched arrays are copies that belong to the
 * caller; fed arrays are read during the call only.
 */
export class Session {
  private closed = false;

  private constructor(
    private readonly binding: TensorFlowBinding,
    private readonly modelId: number,
    private readonly endpoints: ReadonlySet<Endpoint>,
  ) {}

  /** @throws SessionError when TensorFlow refuses the graph */
  static load(binding: TensorFlowBinding, graph: CompiledGraph): Session {
    // The addon only loads from a directory; TensorFlow has read all of it when the call returns.
    const directory = mkdtempSync(join(tmpdir(), 'roentgen-graph-'));
    try {
      writeFileSync(join(directory, 'saved_model.pb'), graph.savedModel);
      return new Session(binding, binding.loadSavedModel(directory, SERVE_TAG), new Set(graph.endpoints));
    } catch (cause) {
      throw new SessionError(`TensorFlow cannot load the graph: ${messageOf(cause)}`, { bytes: graph.savedModel.byteLength }, { cause });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /**
   * Runs one endpoint of the loaded graph.
   * @throws FeedError before the call when a feed does not fit; SessionError when TensorFlow reports a failure. Either way the session
   * stays usable.
   */
  run<F extends NamedTensors, O extends NamedTensors>(endpoint: Endpoint<F, O>, feeds: Feeds<F>): Fetches<O> {
    if (this.closed) throw new SessionError(`endpoint "${endpoint.name}" was called on a closed session.`, { endpoint: endpoint.name });
    if (!this.endpoints.has(endpoint)) {
      throw new SessionError(`endpoint "${endpoint.name}" belongs to another graph.`, { endpoint: endpoint.name });
    }
    const checked = checkFeeds(endpoint, feeds);
    const handles: number[] = [];
    try {
      for (const { placeholder, feed } of checked) {
        handles.push(this.binding.createTensor([...feed.shape], DATA_TYPES[placeholder.dtype], feed.data));
      }
      const fetched = Object.entries(endpoint.fetches);
      const results = this.binding.runSavedModel(
        this.modelId,
        handles,
        checked.map(({ placeholder }) => address(placeholder)).join(','),
        fetched.map(([, tensor]) => address(tensor)).join(','),
      );
      handles.push(...results.map(({ id }) => id));
      const values = fetched.map(([name], index) => [name, this.binding.tensorDataSync(results[index]!.id)]);
      return Object.fromEntries(values) as Fetches<O>;
    } catch (cause) {
      throw new SessionError(
        `endpoint "${endpoint.name}" failed in TensorFlow: ${messageOf(cause)}`,
        { endpoint: endpoint.name },
        { cause },
      );
    } finally {
      for (const handle of handles) this.binding.deleteTensor(handle);
    }
  }

  /** Runs an endpoint once on zeros: the first call of each costs seconds of graph optimisation. Not for endpoints that assign. */
  warm<F extends NamedTensors>(endpoint: Endpoint<F>): void {
    const zeros = Object.entries(endpoint.feeds).map(([name, { dtype, shape }]) => [name, { data: EMPTY[dtype](sizeOf(shape)), shape }]);
    this.run(endpoint, Object.fromEntries(zeros) as Feeds<F>);
  }

  /** Frees the session and its variables; safe to call twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.binding.deleteSavedModel(this.modelId);
  }
}

function address(tensor: Tensor): string {
  return `${tensor.node.name}:${tensor.index}`;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
