import type { HeldPass } from '@roentgen/database';
import { UnavailableError, coerceError } from '@roentgen/domain';
import { inPass, PassLostError, type JanitorParts, type Phase, type StepResult } from './janitor-parts.js';
import { listing } from './listing.js';
import { missing } from './missing.js';
import { incompleteUploads, removal } from './removal.js';
import { images, retention, uploads } from './rows.js';

/** In this order: what goes as a row is removed as an object in the same pass. The names are kept with a pass that is under way. */
const PHASES = { retention, uploads, images, listing, missing, incompleteUploads, removal } as const satisfies Record<string, Phase>;
type PhaseName = keyof typeof PHASES;
const ORDER = Object.keys(PHASES) as readonly PhaseName[];

/** A turn ends after this, so that a coordinator that is closed need not wait for a whole pass; the next turn goes on. */
const TURN_MS = 3_000;
/** Passes that nobody asked for begin this long after the start at the earliest: one that is started again and again does not begin with them. */
const FIRST_PASS_AFTER_MS = 60_000;
const KEPT_DAYS = 30;

/**
 * Removes from the object store what nobody needs, and tells of what is missing there; one coordinator at a time, in small steps. How far a pass is stands
 * in its row: whoever takes it over goes on there, and every step can be done twice.
 */
export class Janitor {
  private automaticFrom: number;

  constructor(private readonly parts: JanitorParts) {
    const { clock, options } = parts;
    this.automaticFrom = clock.now().getTime() + Math.min(FIRST_PASS_AFTER_MS, options.intervalMs);
  }

  /** Begins a pass where it is time, and goes on with the one that is open. @throws UnavailableError: the next turn goes on */
  async turn(): Promise<void> {
    const { passes, id, options, logger, clock } = this.parts;
    await this.beginAutomatic();
    const pass = await passes.claim(id, options.leaseMs);
    if (pass === null) return;
    const obstacle = this.obstacleTo(pass);
    if (obstacle !== null) return await this.end(pass, obstacle);
    try {
      const endMs = clock.now().getTime() + TURN_MS;
      for (let at: HeldPass | null = pass; at !== null && clock.now().getTime() < endMs;) at = await this.step(at);
    } catch (thrown) {
      if (thrown instanceof PassLostError) {
        logger.info({ passId: pass.passId }, thrown.message);
        return;
      }
      const error = coerceError(thrown);
      if (error instanceof UnavailableError) throw error;
      logger.error({ err: error, passId: pass.passId }, 'janitor pass failed');
      await this.end(pass, error.message);
    }
  }

  /** Lets another coordinator go on at once with what this one was at. */
  async release(): Promise<void> {
    await this.parts.passes.release(this.parts.id);
  }

  /**
   * Why the setting does not let the pass go on; null where it does. One may be from before the setting was changed, or from a database that was restored:
   * whoever switched the janitor off relies on nothing being removed, whoever asks.
   */
  private obstacleTo({ projectId, mode }: HeldPass): string | null {
    const { intervalMs, automaticMode } = this.parts.options;
    if (mode === 'DELETE' && automaticMode === 'DRY_RUN') {
      return (
        `ended because COORDINATOR_JANITOR is ${intervalMs === 0 ? 'off' : 'dry-run'}: nothing is removed then. ` +
        'Make a dry run, or ask whoever runs the coordinators to set it to delete, and ask for the pass again.'
      );
    }
    if (projectId === null && intervalMs === 0)
      return 'ended because COORDINATOR_JANITOR is off: no pass is made then that nobody asked for.';
    return null;
  }

  private async end(pass: HeldPass, errorMessage: string): Promise<void> {
    const { passes } = this.parts;
    await inPass(this.parts, pass, 'fail_janitor_pass', (tx) => passes.finish(tx, pass.passId, { truncated: false, errorMessage }));
  }

  private async beginAutomatic(): Promise<void> {
    const { passes, options, clock } = this.parts;
    const nowMs = clock.now().getTime();
    if (options.intervalMs === 0 || nowMs < this.automaticFrom) return;
    this.automaticFrom = nowMs + Math.min(FIRST_PASS_AFTER_MS, options.intervalMs);
    await passes.beginAutomatic(options.automaticMode, options.intervalMs);
  }

  /** One step; where the pass goes on, null at its end. */
  private async step(pass: HeldPass): Promise<HeldPass | null> {
    const name = ORDER.find((known) => known === pass.phase) ?? ORDER[0]!;
    const result = await PHASES[name](this.parts, pass, pass.after);
    const { passes, options } = this.parts;
    const next = await inPass(this.parts, pass, 'advance_janitor_pass', async (tx) => {
      await result.write?.(tx);
      const found = await passes.addFindings(tx, pass.passId, result.findings);
      const truncated = found >= options.maxFindings;
      const goesOn = nextPlace(name, result, truncated);
      if (goesOn === null) await passes.finish(tx, pass.passId, { truncated, errorMessage: null });
      else await passes.advance(tx, pass.passId, { ...goesOn, leaseMs: options.leaseMs });
      return goesOn;
    });
    if (next !== null) return { ...pass, ...next };
    await this.report(pass);
    return null;
  }

  private async report({ passId, mode, projectId }: HeldPass): Promise<void> {
    const { passes, removals, logger } = this.parts;
    const totals = (await passes.totals([passId])).map(({ kind, action, count, bytes }) => ({ kind, action, count, bytes }));
    logger.info({ passId, mode, projectId, totals }, 'janitor pass finished');
    if (projectId !== null) return;
    await passes.forget(KEPT_DAYS);
    await removals.forget(KEPT_DAYS);
  }
}

/** Where a pass goes on after a step; one that has found too much goes on with the removal of that. */
function nextPlace(name: PhaseName, { after }: StepResult, truncated: boolean): { phase: PhaseName; after: string } | null {
  if (truncated && name !== 'removal') return { phase: 'removal', after: '' };
  if (after !== null) return { phase: name, after };
  const phase = ORDER[ORDER.indexOf(name) + 1];
  return phase === undefined ? null : { phase, after: '' };
}
