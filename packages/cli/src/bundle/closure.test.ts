import { expect, test } from 'vitest';
import { closureOf, type LockedPackages } from './closure.js';

const PACKAGES: LockedPackages = {
  'services/worker': { dependencies: { '@own/domain': '1', zod: '4', server: '1', '@types/node': '20' } },
  'node_modules/@own/domain': { link: true, resolved: 'packages/domain' },
  'packages/domain': { dependencies: { uuid: '1' } },
  'node_modules/uuid': { version: '1' },
  'node_modules/zod': { version: '4', dependencies: { uuid: '2' }, optionalDependencies: { 'zod-linux': '1', 'zod-mac': '1' } },
  'node_modules/zod/node_modules/uuid': { version: '2', dependencies: { deep: '1' } },
  'node_modules/deep': {},
  'node_modules/zod-linux': {},
  'node_modules/zod-mac': {},
  'node_modules/server': { dependencies: { compiler: '1' } },
  'node_modules/compiler': {},
  'node_modules/vitest': {},
};
const closure = (leftOut: string[] = [], packages = PACKAGES) =>
  closureOf({ packages, from: 'services/worker', leftOut, isInstalled: (folder) => folder !== 'node_modules/zod-mac' });

test('what a workspace needs is found all the way down, in the version that Node would find', () => {
  expect(closure()).toEqual({
    workspaces: ['packages/domain', 'services/worker'],
    libraries: [
      'node_modules/compiler',
      'node_modules/deep',
      'node_modules/server',
      'node_modules/uuid',
      'node_modules/zod',
      'node_modules/zod-linux',
      'node_modules/zod/node_modules/uuid',
    ],
  });
});

test('what is not loaded stays behind, with what only it needs', () => {
  const { libraries } = closure(['server']);
  expect(libraries).not.toContain('node_modules/server');
  expect(libraries).not.toContain('node_modules/compiler');
});

test('a dependency that the lock file does not know is an error that names both', () => {
  const { 'node_modules/deep': _gone, ...rest } = PACKAGES;
  expect(() => closure([], rest)).toThrow(/node_modules\/zod\/node_modules\/uuid finds deep/);
});
