import { InvalidInputError } from '@roentgen/domain';

export const MAX_NAME_LENGTH = 200;

/** The name that a user gave, trimmed; null for none. @throws InvalidInputError when it is too long */
export function runName(name: string | null | undefined): string | null {
  const trimmed = name?.trim() ?? '';
  if (trimmed.length > MAX_NAME_LENGTH) {
    throw new InvalidInputError(`name has ${trimmed.length} characters; it takes at most ${MAX_NAME_LENGTH}.`, [
      { field: 'name', message: `takes at most ${MAX_NAME_LENGTH} characters` },
    ]);
  }
  return trimmed === '' ? null : trimmed;
}
