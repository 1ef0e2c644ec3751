import { join } from 'node:path';
import type { TensorFlowBinding } from '@roentgen/tensorflow';
import type { Peers } from './peer-process.js';

/** One number that a case compares: it passes when `distance` ≤ `bound`. */
export interface Measurement {
  readonly what: string;
  readonly distance: number;
  readonly bound: number;
}

/** Something that we and a peer compute from the same input. */
export interface ParityCase {
  /** `group/peer/what`, as `--only` knows it. */
  readonly name: string;
  readonly measure: (context: ParityContext) => Promise<readonly Measurement[]>;
}

/** What all cases share. */
export class ParityContext {
  private files = 0;

  constructor(
    readonly peers: Peers,
    /** Made on first use: cases that only read files need no TensorFlow. */
    private readonly loadBinding: () => TensorFlowBinding,
    /** For the files that travel to and from peers; thrown away at the end. */
    private readonly folder: string,
  ) {}

  get binding(): TensorFlowBinding {
    return this.loadBinding();
  }

  /** A path of its own each time. */
  path(name: string): string {
    this.files += 1;
    return join(this.folder, `${this.files}-${name}`);
  }
}
