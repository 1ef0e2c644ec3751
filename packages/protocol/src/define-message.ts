import type { z } from 'zod';
import { RoentgenError } from '@roentgen/domain';

/** A message that is not what its definition says. */
export class InvalidMessageError extends RoentgenError {
  readonly code = 'INVALID_MESSAGE';
}

/** A message of a version that this receiver does not know. */
export class UnknownVersionError extends RoentgenError {
  readonly code = 'UNKNOWN_MESSAGE_VERSION';
}

/**
 * One definition for both ends: sender and receiver parse with the same schema. `subject` builds the subject without the system's prefix
 * from its tokens; `pattern` is what a receiver subscribes to, a token left out standing for any.
 */
export interface Message<Name extends string, Args extends readonly string[], Payload> {
  readonly name: Name;
  readonly version: number;
  /** What each token of the subject means; tokens are its last words. */
  readonly tokenNames: readonly string[];
  readonly subject: (...tokens: Args) => string;
  readonly pattern: (...tokens: Partial<Args>) => string;
  readonly schema: z.ZodType<Payload>;
}

/** A message that is answered. */
export interface Request<Name extends string, Args extends readonly string[], Payload, Reply> extends Message<Name, Args, Payload> {
  readonly reply: z.ZodType<Reply>;
}

interface Definition<Name extends string, Tokens extends readonly string[], Payload> {
  readonly name: Name;
  readonly version: number;
  readonly parts: SubjectParts<Tokens>;
  readonly schema: z.ZodType<Payload>;
}

/** `fixed` words, then one word per token, which the sender fills in; `tokens` says what each of them means. */
interface SubjectParts<Tokens extends readonly string[]> {
  readonly fixed: readonly string[];
  readonly tokens: Tokens;
}

/** One text per token name. */
type ArgumentsOf<Tokens extends readonly string[]> = { readonly [K in keyof Tokens]: string };

const TOKEN = /^[-\w]+$/;

/** @throws InvalidMessageError when a token could break out of its place */
function checkToken(meaning: string, token: string): string {
  if (TOKEN.test(token)) return token;
  throw new InvalidMessageError(`"${token}" cannot be the ${meaning} of a subject: only letters, digits, _ and - are allowed.`, { token });
}

/** `fixed…` and one word per token. @throws InvalidMessageError when there is one too few or too many, or one that is no word */
function buildSubject(parts: SubjectParts<readonly string[]>, tokens: readonly string[]): string {
  if (tokens.length !== parts.tokens.length) {
    const expected = parts.tokens.length === 0 ? 'none' : parts.tokens.join(', ');
    throw new InvalidMessageError(
      `${parts.fixed.join('.')} was given ${tokens.length} tokens, expected ${parts.tokens.length}: ${expected}.`,
      { tokens },
    );
  }
  return [...parts.fixed, ...parts.tokens.map((meaning, i) => checkToken(meaning, tokens[i] ?? ''))].join('.');
}

/** Like `buildSubject`, with `*` for each token that is not given. */
function buildPattern(parts: SubjectParts<readonly string[]>, tokens: ReadonlyArray<string | undefined>): string {
  const word = (meaning: string, token: string | undefined) => (token === undefined ? '*' : checkToken(meaning, token));
  return [...parts.fixed, ...parts.tokens.map((meaning, i) => word(meaning, tokens[i]))].join('.');
}

/** Defines a message that is only sent. */
export function defineMessage<Name extends string, const Tokens extends readonly string[], Payload>(
  definition: Definition<Name, Tokens, Payload>,
): Message<Name, ArgumentsOf<Tokens>, Payload> {
  const { name, version, schema, parts } = definition;
  return {
    name,
    version,
    schema,
    tokenNames: parts.tokens,
    subject: (...tokens) => buildSubject(parts, tokens),
    pattern: (...tokens) => buildPattern(parts, tokens),
  };
}

/** Defines a message that is answered. */
export function defineRequest<Name extends string, const Tokens extends readonly string[], Payload, Reply>(
  definition: Definition<Name, Tokens, Payload> & { readonly reply: z.ZodType<Reply> },
): Request<Name, ArgumentsOf<Tokens>, Payload, Reply> {
  return { ...defineMessage<Name, Tokens, Payload>(definition), reply: definition.reply };
}
