import { expect, test } from 'vitest';
import { bearerToken, hashToken, newToken } from './tokens.js';

test('a token has 256 random bits behind a known prefix and is kept as its SHA-256', () => {
  const token = newToken();
  expect(token).toMatch(/^rgt_[A-Za-z0-9_-]{43}$/);
  expect(newToken()).not.toBe(token);
  expect(hashToken('rgt_abc').toString('hex')).toBe('8d784a87019f74a878984d46a6dfc52672416958e061526d1d85f65216e5bd2a');
});

test('only "Bearer" and one whole token are read', () => {
  const token = newToken();
  expect(bearerToken(`Bearer ${token}`)).toBe(token);
  expect(bearerToken(`bearer ${token}`)).toBe(token);
  for (const value of [
    undefined,
    null,
    42,
    '',
    token,
    `Basic ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token} more`,
    'Bearer rgt_',
    `Bearer ${token.slice(0, -1)}`,
  ]) {
    expect(bearerToken(value), String(value)).toBeNull();
  }
});
