/** What this needs of an entry of package-lock.json (version 3). */
export interface LockedPackage {
  readonly version?: string | undefined;
  readonly license?: string | undefined;
  /** Set for a workspace: the folder that the entry links to. */
  readonly link?: boolean | undefined;
  readonly resolved?: string | undefined;
  readonly dependencies?: Readonly<Record<string, string>> | undefined;
  readonly optionalDependencies?: Readonly<Record<string, string>> | undefined;
}

export type LockedPackages = Readonly<Record<string, LockedPackage>>;

/** What a workspace needs to run. */
export interface Closure {
  /** Folders of our own packages, such as `packages/domain`, the workspace itself among them. */
  readonly workspaces: readonly string[];
  /** Folders of other packages, such as `node_modules/zod`. */
  readonly libraries: readonly string[];
}

/** Where Node finds a package that is imported from `folder`: in the nearest node_modules upwards. */
function resolvePackage(packages: LockedPackages, folder: string, name: string): string | null {
  for (let from = folder; ; from = from.includes('/') ? from.slice(0, from.lastIndexOf('/')) : '') {
    const key = `${from === '' || from.endsWith('node_modules') ? '' : `${from}/`}node_modules/${name}`;
    if (packages[key] !== undefined) return key;
    if (from === '') return null;
  }
}

export interface ClosureOptions {
  readonly packages: LockedPackages;
  /** The workspace to start from, such as `services/worker`. */
  readonly from: string;
  /** Packages that are named as dependencies but not loaded when the program runs; what only they need stays behind too. */
  readonly leftOut: readonly string[];
  /** Whether an optional package is installed here. */
  readonly isInstalled: (folder: string) => boolean;
}

/** The runtime dependencies of a workspace, all the way down, as the lock file resolves them. @throws Error for one that it does not know */
export function closureOf({ packages, from, leftOut, isInstalled }: ClosureOptions): Closure {
  const found = new Set<string>();
  const visit = (folder: string): void => {
    if (found.has(folder)) return;
    const entry = packages[folder];
    if (entry === undefined) throw new Error(`package-lock.json does not know ${folder}: run npm install.`);
    if (entry.link === true) return visit(entry.resolved ?? '');
    found.add(folder);
    for (const name of Object.keys(entry.dependencies ?? {})) {
      if (leftOut.includes(name) || name.startsWith('@types/')) continue;
      const resolved = resolvePackage(packages, folder, name);
      if (resolved === null) throw new Error(`package-lock.json does not say where ${folder} finds ${name}: run npm install.`);
      visit(resolved);
    }
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      const resolved = resolvePackage(packages, folder, name);
      if (resolved !== null && isInstalled(resolved)) visit(resolved);
    }
  };
  visit(from);
  const isLibrary = (folder: string) => folder.includes('node_modules/');
  const all = [...found].sort();
  return { workspaces: all.filter((folder) => !isLibrary(folder)), libraries: all.filter(isLibrary) };
}
