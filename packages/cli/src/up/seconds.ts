/** Seconds per phase, to a tenth; for the summary that people and scripts compare. */
export class PhaseTimer<Phase extends string> {
  readonly #seconds = new Map<Phase, number>();

  /** Runs the action and adds its time to the phase, also when it fails. */
  async time<T>(phase: Phase, action: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await action();
    } finally {
      this.add(phase, (performance.now() - startedAt) / 1000);
    }
  }

  add(phase: Phase, seconds: number): void {
    this.#seconds.set(phase, (this.#seconds.get(phase) ?? 0) + seconds);
  }

  /** Every phase in the order in which it first ran, and their sum. */
  summary(): Readonly<Record<string, number>> {
    const rounded = (seconds: number) => Math.round(seconds * 10) / 10;
    const total = [...this.#seconds.values()].reduce((sum, seconds) => sum + seconds, 0);
    return { ...Object.fromEntries([...this.#seconds].map(([phase, seconds]) => [phase, rounded(seconds)])), total: rounded(total) };
  }
}
