import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { executeOverHttp } from './http-transport.js';
import { RETRY_POLICY } from './retry.js';
import { subscribeOverWebSocket, type SubscribeOptions } from './subscription-transport.js';

export interface RoentgenClientOptions {
  /** Address of the API, such as http://127.0.0.1:4400/graphql. */
  readonly url: string;
  readonly token: string;
  /** How long one request may take; default 30 s. */
  readonly timeoutMs?: number;
  /** How long a subscription keeps trying to come back, and an operation to get through where one has got through before; default 60 s. */
  readonly reconnectTimeoutMs?: number;
}

/** A connection to one project of one Roentgen: as many concurrent operations as wanted, nothing to close. */
export class RoentgenClient {
  readonly #options: Required<RoentgenClientOptions>;
  #wasAnswered = false;

  constructor(options: RoentgenClientOptions) {
    this.#options = { timeoutMs: 30_000, reconnectTimeoutMs: 60_000, ...options };
  }

  get url(): string {
    return this.#options.url;
  }

  /**
   * Runs a query or mutation and gives its data. Queries, and mutations whose input has an `idempotencyKey`, are repeated when the network fails: for a
   * few seconds at first, since the address may be wrong, and for `reconnectTimeoutMs` once it was right, so that long work outlives a restart of the API.
   * @throws ApiError, UnreachableError, UnexpectedResponseError
   */
  async execute<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Data> {
    const retryPolicy = { ...RETRY_POLICY, forMs: this.#wasAnswered ? this.#options.reconnectTimeoutMs : 0 };
    const data = await executeOverHttp({ ...this.#options, retryPolicy }, document, variables, options.signal);
    this.#wasAnswered = true;
    return data;
  }

  /** The values of a subscription; reconnects by itself and goes on with the variables that `resume` makes from the last value. */
  subscribe<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    options: SubscribeOptions<Data, Variables>,
  ): AsyncGenerator<Data, void, void> {
    const { url, token, reconnectTimeoutMs } = this.#options;
    return subscribeOverWebSocket({ url: url.replace(/^http/, 'ws'), token, reconnectTimeoutMs }, document, variables, options);
  }
}
