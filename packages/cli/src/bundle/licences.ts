import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Closure, LockedPackages } from './closure.js';

export interface LicenceOptions {
  readonly packages: LockedPackages;
  readonly closure: Closure;
  readonly libtensorflow: { readonly version: string; readonly withCudaLibraries: boolean };
  readonly nodePath: string;
}

/** Where a distribution or Node's own archive puts its licence, from the folder of the program. */
const NODE_LICENCES = ['../LICENSE', '../share/doc/nodejs/LICENSE', '../share/doc/node/LICENSE'];

/** What is in the bundle and under which terms, and Node's licence in full; the npm packages carry theirs in their folders. */
export function licenceText({ packages, closure, libtensorflow, nodePath }: LicenceOptions): string {
  const libraries = closure.libraries.map((folder) => {
    const { version = '', license = 'see its folder' } = packages[folder] ?? {};
    return `  ${folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)} ${version}: ${license}`;
  });
  const nodeLicence = NODE_LICENCES.map((path) => join(dirname(nodePath), path)).find((path) => existsSync(path));
  const parts = [
    '  Roentgen: Apache-2.0 (LICENSE, NOTICE)',
    `  TensorFlow ${libtensorflow.version} (libtensorflow/lib), without its symbol tables: Apache-2.0 (same text as LICENSE)`,
    '  tfjs_binding.node: the addon of @tensorflow/tfjs-node-gpu, unmodified sources compiled: Apache-2.0',
    `  Node.js ${process.version} (runtime/node): MIT and others${nodeLicence === undefined ? '' : ', below'}`,
    '  libstdc++ and libgcc (runtime/lib): GPL-3.0 with the GCC Runtime Library Exception 3.1',
    ...(libtensorflow.withCudaLibraries
      ? [
          "  NVIDIA CUDA and cuDNN libraries (libtensorflow/nvidia): NVIDIA's own terms, in the *.dist-info of their wheels and at docs.nvidia.com",
        ]
      : []),
  ];
  return [
    'What is in this folder, and its licences',
    '',
    ...parts,
    '',
    'npm packages (node_modules), each with its own licence file where its authors ship one:',
    '',
    ...libraries,
    ...(nodeLicence === undefined ? [] : ['', 'Licence of Node.js', '', readFileSync(nodeLicence, 'utf8')]),
    '',
  ].join('\n');
}
