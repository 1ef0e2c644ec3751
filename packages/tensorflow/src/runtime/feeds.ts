import { FeedError } from '../errors.js';
import type { Endpoint, Feed, NamedTensors } from '../graph/endpoint.js';
import { describe, sameShape, sizeOf } from '../graph/tensor.js';
import type { HostArray, HostDType, Tensor } from '../graph/tensor.js';

export interface CheckedFeed {
  readonly placeholder: Tensor<HostDType>;
  readonly feed: Feed;
}

/**
 * Everything about a call that TensorFlow would not check itself. Placeholder shapes are not enforced there, and a tensor of the wrong
 * rank aborts the process inside a kernel, so nothing gets past this function.
 * @throws FeedError naming the feed, what it is and what it must be
 */
export function checkFeeds(endpoint: Endpoint, feeds: Readonly<Record<string, Feed>>): CheckedFeed[] {
  const unknown = Object.keys(feeds).find((name) => !Object.hasOwn(endpoint.feeds, name));
  if (unknown !== undefined) {
    throw new FeedError(`endpoint "${endpoint.name}" has no feed "${unknown}"; it takes ${names(endpoint.feeds)}.`, {
      endpoint: endpoint.name,
      feed: unknown,
    });
  }
  return Object.entries(endpoint.feeds).map(([name, placeholder]) => {
    const feed = Object.hasOwn(feeds, name) ? feeds[name] : undefined;
    if (!feed) {
      throw new FeedError(`feed "${name}" of endpoint "${endpoint.name}" is missing; it takes ${describe(placeholder)}.`, {
        endpoint: endpoint.name,
        feed: name,
      });
    }
    checkFeed(endpoint.name, name, placeholder, feed);
    return { placeholder, feed };
  });
}

function checkFeed(endpoint: string, name: string, placeholder: Tensor<HostDType>, { data, shape }: Feed): void {
  const dtype = dtypeOf(data);
  const details = {
    endpoint,
    feed: name,
    got: { dtype, shape, length: data.length },
    expected: { dtype: placeholder.dtype, shape: placeholder.shape },
  };
  if (dtype !== placeholder.dtype || !sameShape(shape, placeholder.shape)) {
    const got = dtype === null ? data.constructor.name : describe({ dtype, shape });
    throw new FeedError(`feed "${name}" of endpoint "${endpoint}" is ${got}, expected ${describe(placeholder)}.`, details);
  }
  if (data.length !== sizeOf(placeholder.shape)) {
    const expected = `${describe(placeholder)} has ${sizeOf(placeholder.shape)} (${sizeOf(placeholder.shape) * data.BYTES_PER_ELEMENT} bytes)`;
    throw new FeedError(
      `feed "${name}" of endpoint "${endpoint}" has ${data.length} elements (${data.byteLength} bytes), ${expected}.`,
      details,
    );
  }
}

function dtypeOf(data: HostArray): HostDType | null {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Int32Array) return 'int32';
  return data instanceof Uint8Array ? 'uint8' : null;
}

function names(tensors: NamedTensors): string {
  return Object.keys(tensors).join(', ') || 'nothing';
}
