import { z } from 'zod';

/** One environment variable: what it means, and how its text becomes a value. `secret` values are never printed. */
export interface Variable<T> {
  readonly schema: z.ZodType<T, string | undefined>;
  readonly description: string;
  readonly secret?: boolean;
}

export type Variables = Readonly<Record<string, Variable<unknown>>>;
export type ValuesOf<V extends Variables> = { readonly [K in keyof V]: V[K] extends Variable<infer T> ? T : never };

/** Every problem of an environment at once, one line each: name, rule, value (unless secret). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    );
  }
}

/** Parses the named variables. An empty text counts as unset. @throws ConfigError listing every problem */
export function readVariables<V extends Variables>(variables: V, environment: Readonly<Record<string, string | undefined>>): ValuesOf<V> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries(variables)) {
    const text = environment[name] === '' ? undefined : environment[name];
    const parsed = variable.schema.safeParse(text);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(problemLine(name, variable, text, parsed.error));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as ValuesOf<V>;
}

function problemLine(name: string, variable: Variable<unknown>, text: string | undefined, error: z.ZodError): string {
  const rule = error.issues.map((issue) => issue.message).join('; ');
  if (text === undefined) return `${name} is not set (${variable.description}).`;
  return `${name}=${variable.secret === true ? '[secret]' : JSON.stringify(text)}: ${rule} (${variable.description}).`;
}

const text = z.string({ error: 'is required' });

/** Text that must be there. */
export const requiredText = (description: string, options: { secret?: boolean } = {}): Variable<string> => ({
  schema: text.min(1),
  description,
  ...options,
});

/** Text with a default. */
export const optionalText = (description: string, fallback: string, options: { secret?: boolean } = {}): Variable<string> => ({
  schema: text.optional().transform((value) => value ?? fallback),
  description: `${description}; default ${fallback === '' ? 'empty' : fallback}`,
  ...options,
});

/** A whole number within bounds, with a default. */
export const integer = (description: string, fallback: number, bounds: { min: number; max: number }): Variable<number> => ({
  schema: text.optional().transform((value, ctx) => {
    const number = value === undefined ? fallback : Number(value);
    if (Number.isInteger(number) && number >= bounds.min && number <= bounds.max) return number;
    ctx.addIssue(`must be a whole number from ${bounds.min} to ${bounds.max}`);
    return z.NEVER;
  }),
  description: `${description}; default ${fallback}`,
});

/** A port that something listens on only when it is set; 0 takes any free one. */
export const portOrOff = (description: string): Variable<number | null> => ({
  schema: text.optional().transform((value, ctx) => {
    if (value === undefined) return null;
    const port = Number(value);
    if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
    ctx.addIssue('must be a whole number from 0 to 65535');
    return z.NEVER;
  }),
  description: `${description} (empty: off; 0: any free one)`,
});

/** One of a few words, with a default. */
export const oneOf = <const T extends string>(description: string, words: readonly T[], fallback: T): Variable<T> => ({
  schema: text.optional().transform((value, ctx) => {
    const word = words.find((candidate) => candidate === (value ?? fallback));
    if (word !== undefined) return word;
    ctx.addIssue(`must be one of ${words.join(', ')}`);
    return z.NEVER;
  }),
  description: `${description}; default ${fallback}`,
});
