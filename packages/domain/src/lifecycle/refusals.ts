import type { Decision } from './run-lifecycle.js';

/** Whoever asks does not own the run or the attempt (any more). */
export const stale = (message: string): Decision => ({ ok: false, reason: 'STALE', message });

/** It cannot be done in this state. */
export const conflict = (message: string): Decision => ({ ok: false, reason: 'CONFLICT', message });
