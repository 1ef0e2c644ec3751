import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Writes a generated file; with `--check` among the arguments it writes nothing and ends with 1 when the file is not what it would be. */
export function emit(path: string, text: string, { command }: { readonly command: string }): void {
  const name = relative(ROOT, path);
  if (!process.argv.includes('--check')) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.error(`wrote ${name}`);
  } else if (committedText(path) !== text) {
    console.error(`${name} is not what the code gives. Run: ${command}`);
    process.exitCode = 1;
  }
}

function committedText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
