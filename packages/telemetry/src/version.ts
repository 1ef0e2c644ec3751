import { readFileSync } from 'node:fs';

/** The version that a package.json states; empty where it states none. */
export function packageVersion(packageJson: URL): string {
  const stated: unknown = Reflect.get(Object(JSON.parse(readFileSync(packageJson, 'utf8'))), 'version');
  return typeof stated === 'string' ? stated : '';
}
