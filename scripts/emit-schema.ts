/** Writes schema.graphql from the gateway's code; `--check` writes nothing and fails when the file is not what the code gives. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildGatewaySchema } from '@roentgen/gateway';

const FILE = fileURLToPath(new URL('../schema.graphql', import.meta.url));
const HEADER = '# Emitted from services/gateway by `npm run schema:emit`: change the code, not this file.\n\n';

const text = `${HEADER}${printSchema(lexicographicSortSchema(await buildGatewaySchema()))}\n`;

if (process.argv.includes('--check')) {
  if (committedText() !== text) {
    console.error('schema.graphql is not what the code gives. Run: npm run schema:emit');
    process.exitCode = 1;
  }
} else {
  writeFileSync(FILE, text);
}

function committedText(): string | null {
  try {
    return readFileSync(FILE, 'utf8');
  } catch {
    return null;
  }
}
