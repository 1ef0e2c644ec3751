import type { HostArrays, HostDType, Shape, Tensor } from './tensor.js';

/** Named tensors of known element type. */
export type NamedTensors = Readonly<Record<string, Tensor<HostDType>>>;

/**
 * One way to call a graph: a fixed set of feeds and fetches. The first call of each such pair costs seconds of graph optimisation,
 * so a graph has few of them. The type parameters carry the element types to `Session.run`.
 */
export interface Endpoint<F extends NamedTensors = NamedTensors, O extends NamedTensors = NamedTensors> {
  readonly name: string;
  /** Placeholders. */
  readonly feeds: F;
  readonly fetches: O;
}

/** Values for one placeholder, with the shape they are meant to have. */
export interface Feed<D extends HostDType = HostDType> {
  readonly data: HostArrays[D];
  readonly shape: Shape;
}

export type Feeds<F extends NamedTensors> = { readonly [K in keyof F]: Feed<F[K]['dtype']> };
export type Fetches<O extends NamedTensors> = { readonly [K in keyof O]: HostArrays[O[K]['dtype']] };
