import type { TensorFlowBinding } from '@roentgen/tensorflow';

/** Calls that compute; all others hand data over or give memory back. */
const COMPUTING = new Set<PropertyKey>(['runSavedModel', 'executeOp', 'loadSavedModel']);

/** The addon with a clock at each of its functions. */
export class TimedBinding {
  private computingMs = 0;
  private copyingMs = 0;
  readonly binding: TensorFlowBinding;

  constructor(inner: TensorFlowBinding) {
    // The addon's own properties are read-only, which a proxy of it would have to respect; one of an heir need not.
    this.binding = new Proxy(Object.create(inner) as TensorFlowBinding, {
      get: (_heir, key) => {
        const member: unknown = Reflect.get(inner, key);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => this.timed(key, () => Reflect.apply(member, inner, args));
      },
    });
  }

  /** Runs a step of the network. → ms outside of the addon, and in it without computing */
  step(work: () => void): { javascriptMs: number; copyMs: number } {
    this.computingMs = this.copyingMs = 0;
    const startedAt = performance.now();
    work();
    return { javascriptMs: performance.now() - startedAt - this.computingMs - this.copyingMs, copyMs: this.copyingMs };
  }

  private timed(key: PropertyKey, call: () => unknown): unknown {
    const startedAt = performance.now();
    try {
      return call();
    } finally {
      const ms = performance.now() - startedAt;
      if (COMPUTING.has(key)) this.computingMs += ms;
      else this.copyingMs += ms;
    }
  }
}
