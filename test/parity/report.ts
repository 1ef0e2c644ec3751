import type { Measurement } from './context.js';

/** One line of `--json`. */
export interface MeasurementReport {
  readonly case: string;
  readonly what: string;
  /** Null where it is no finite number, or nothing was measured. */
  readonly distance: number | null;
  readonly bound: number | null;
  readonly passed: boolean;
  /** Why nothing was measured. */
  readonly error?: string;
}

/** Distances of NaN have not passed. */
export function reportMeasurement(name: string, { what, distance, bound }: Measurement): MeasurementReport {
  return { case: name, what, distance: Number.isFinite(distance) ? distance : null, bound, passed: distance <= bound };
}

export function reportFailure(name: string, error: unknown): MeasurementReport {
  const message = error instanceof Error ? error.message : String(error);
  return { case: name, what: 'not measured', distance: null, bound: null, passed: false, error: message };
}

const NAME_WIDTH = 46;

/** `✓ logits/keras/B0@97   3.1e-7 ≤ 1e-4   logits` */
export function formatReport({ case: name, what, distance, bound, passed, error }: MeasurementReport): string {
  const head = `${passed ? '✓' : '✗'} ${name.padEnd(NAME_WIDTH)}`;
  if (error !== undefined) return `${head} ${error.replaceAll('\n', '\n    ')}`;
  const measured = distance === null ? 'no number' : formatDistance(distance);
  return `${head} ${measured.padStart(9)} ${passed ? '≤' : '>'} ${formatDistance(bound ?? 0).padEnd(6)} ${what}`;
}

function formatDistance(value: number): string {
  return value === 0 || (value >= 0.01 && value < 1000)
    ? String(Number(value.toPrecision(3)))
    : value.toExponential(Number.isInteger(Math.log10(value)) ? 0 : 1);
}
