import type { HeldWait } from '@roentgen/domain';

/** What an attempt waits for now: many of its calls may wait at the same time. */
export class Waits {
  private readonly waits = new Map<symbol, HeldWait>();

  /** The first that began; one for room before one for an answer, since somebody has to do something about it. */
  get current(): HeldWait | null {
    const all = [...this.waits.values()];
    return all.find(({ code }) => code !== 'STORE_AWAY') ?? all[0] ?? null;
  }

  /** Told again, it is still the same wait. */
  begin(call: symbol, wait: HeldWait): void {
    this.waits.set(call, wait);
  }

  end(call: symbol): void {
    this.waits.delete(call);
  }
}
