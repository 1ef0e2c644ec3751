import type { PartFile, RuntimeFile } from './manifest.js';

const PLACE = '@@RUNTIME@@';

export interface ScriptFacts {
  readonly runtime: readonly RuntimeFile[];
  readonly manifest: PartFile;
  readonly unpacker: PartFile;
}

/** unpack.sh of one bundle: which parts Node is in, and their SHA-256. @param template unpack.sh with a line to put them */
export function unpackScript(template: string, { runtime, manifest, unpacker }: ScriptFacts): string {
  if (!template.includes(`\n${PLACE}\n`)) throw new Error(`unpack.sh has no line ${PLACE}.`);
  const checked = [...runtime.flatMap((file) => file.parts), manifest, unpacker];
  const lines = [
    `manifest_sha256=${manifest.sha256}`,
    ...checked.map((file) => `part ${file.name} ${file.sha256}`),
    ...runtime.map((file) => `runtime_file ${[file.path, ...file.parts.map((part) => part.name)].join(' ')}`),
  ];
  return template.replace(PLACE, lines.join('\n'));
}
