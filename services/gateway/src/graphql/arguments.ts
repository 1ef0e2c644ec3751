import { InvalidInputError } from '@roentgen/domain';

/** Postgres cannot hold NUL in a text: found here once, for every argument of every field. @throws InvalidInputError naming where it is */
export function assertStorable(args: unknown): void {
  const path = pathOfNul(args, []);
  if (path === null) return;
  const field = path.join('.');
  throw new InvalidInputError(`${field} contains the character U+0000, which cannot be stored. Leave it out.`, [
    { field, message: 'contains the character U+0000' },
  ]);
}

function pathOfNul(value: unknown, path: readonly string[]): readonly string[] | null {
  if (typeof value === 'string') return value.includes('\u0000') ? path : null;
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, part] of Object.entries(value)) {
    const found = pathOfNul(part, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}
