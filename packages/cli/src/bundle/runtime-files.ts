import { readFileSync } from 'node:fs';

const LIBRARIES = ['libstdc++.so.6', 'libgcc_s.so.1'];

/**
 * The Node that runs here and the C++ libraries that it and the addon were linked with: path below `runtime/` → file.
 * @param maps of this process, as in /proc/self/maps
 */
export function runtimeFiles(nodePath: string = process.execPath, maps: string = readFileSync('/proc/self/maps', 'utf8')) {
  const loaded = new Set(maps.split('\n').flatMap((line) => /\s(\/.*)$/.exec(line)?.[1] ?? []));
  const libraries = LIBRARIES.flatMap((name) => {
    // The file is loaded through a link, such as libstdc++.so.6 -> libstdc++.so.6.0.30.
    const file = [...loaded].find((path) => path.slice(path.lastIndexOf('/') + 1).startsWith(name));
    return file === undefined ? [] : [[`lib/${name}`, file] as const];
  });
  return { node: nodePath, ...Object.fromEntries(libraries) };
}
