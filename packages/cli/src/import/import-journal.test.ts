import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ImportJournal } from './import-journal.js';

let cache: string;
beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'roentgen-journal-'))));
afterEach(() => rmSync(cache, { recursive: true, force: true }));

const SCOPE = { url: 'http://api/graphql', name: 'n' };
const file = (fileName: string) => ({ fileName, sha256: '0'.repeat(64), bytes: 1, read: () => Promise.resolve(new Uint8Array(1)) });

test('a journal remembers across processes what was sent of the same import, and of no other', () => {
  const first = new ImportJournal(cache, SCOPE, [file('a.png'), file('b.png')]);
  first.markSent('upl_1', 0);
  first.markSent('upl_1', 10);
  const again = new ImportJournal(cache, SCOPE, [file('a.png'), file('b.png')]);
  expect([again.wasSent('upl_1', 0), again.wasSent('upl_1', 1), again.wasSent('upl_1', 10), again.wasSent('upl_2', 0)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  const others = [
    new ImportJournal(cache, SCOPE, [file('a.png')]),
    new ImportJournal(cache, { ...SCOPE, name: 'other' }, [file('a.png'), file('b.png')]),
  ];
  for (const other of others) expect(other.wasSent('upl_1', 0)).toBe(false);
  expect(new Set([first, ...others].map((journal) => journal.key)).size).toBe(3);
  again.remove();
  expect(new ImportJournal(cache, SCOPE, [file('a.png'), file('b.png')]).wasSent('upl_1', 0)).toBe(false);
});
