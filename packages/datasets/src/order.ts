import { createHash } from 'node:crypto';

/** Order by Unicode code point, the same everywhere: UTF-8 keeps it, and no language's rules come in. */
export const compareCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export const sha256Of = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/**
 * The items in an order that only `salt` and the names decide: that of SHA-256 over both. A shuffle without a generator's state, so that neither
 * the order in which items come nor the platform can change it.
 */
export function shuffledBy<T>(items: readonly T[], salt: string, nameOf: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, key: sha256Of(`${salt}\n${nameOf(item)}`) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ item }) => item);
}
