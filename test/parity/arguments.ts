import { parseArgs } from 'node:util';
import { InvalidInputError } from '@roentgen/domain';

export interface ParityOptions {
  readonly json: boolean;
  readonly list: boolean;
  /** Whether a case is wanted, by its name. */
  readonly selects: (name: string) => boolean;
}

export const USAGE = `npm run parity -- [--only PATTERN] [--list] [--json]

  --only PATTERN   only cases whose names contain it, any case; * stands for anything: keras, logits/*B0, weights
  --list           the names of the cases; nothing is run
  --json           one line of JSON per measurement on stdout
`;

/** @throws InvalidInputError naming the argument */
export function parseParityArguments(args: readonly string[]): ParityOptions {
  try {
    const { only, json, list } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
      },
    }).values;
    const patterns = only.map(toExpression);
    return { json, list, selects: (name) => patterns.length === 0 || patterns.some((pattern) => pattern.test(name)) };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidInputError(message, [{ field: 'arguments', message }]);
  }
}

function toExpression(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(parts.join('.*'), 'i');
}
