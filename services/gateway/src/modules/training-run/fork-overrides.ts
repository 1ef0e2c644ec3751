import type { RecipeOverrides } from '@roentgen/domain';
import type { RecipeOverridesInput } from './fork.input.js';

/** Where null says something else than nothing. */
const TAKEN_AWAY_BY_NULL: ReadonlySet<string> = new Set(['clipNorm', 'emaDecay', 'layerDecay']);

/** What was really said: fields that were left out are left out, and so are nulls that mean nothing. */
export function toOverrides(input: RecipeOverridesInput): RecipeOverrides {
  return Object.fromEntries(
    Object.entries(input)
      .filter(([name, value]) => value !== undefined && (value !== null || TAKEN_AWAY_BY_NULL.has(name)))
      .map(([name, value]: [string, unknown]) => [name, typeof value === 'object' && value !== null ? given(value) : value]),
  );
}

const given = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));

/** For comparing two requests, which take null for nothing: here it is not. */
export function comparable(overrides: RecipeOverrides): object {
  return Object.fromEntries(
    Object.entries(overrides).map(([name, value]: [string, unknown]) => [name, value === null ? 'taken away' : value]),
  );
}
