import { createHash, randomBytes } from 'node:crypto';

const PREFIX = 'rgt_';
const FORM = /^rgt_[A-Za-z0-9_-]{43}$/;

/** A new API token: 256 random bits behind a prefix that secret scanners can find. */
export function newToken(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/** What is kept of a token. A fast hash is enough: there is nothing to guess in 256 random bits. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** The token of an `Authorization: Bearer rgt_…` value; null when it is something else. */
export function bearerToken(authorization: unknown): string | null {
  if (typeof authorization !== 'string') return null;
  const [scheme, token, ...rest] = authorization.trim().split(/ +/);
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || rest.length > 0) return null;
  return FORM.test(token) ? token : null;
}
