import { defineConfig } from 'vitest/config';

/**
 * unit         pure code beside its test; needs nothing but node_modules
 * native       beside the code too, but needs libtensorflow and the compiled addon (`*.native.test.ts`)
 * integration  real Postgres, NATS and object store, through packages' public surfaces
 * e2e          the whole system through its public API
 * faults       the whole system while its parts are killed, stopped and restarted; takes long, and is no part of `npm test`
 */
/** The package exists twice, as ES module and as CommonJS, and a schema of one is no schema to the other: everybody gets the one that Node gives. */
const oneGraphql = { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] };
const oneProcessPerFile = { pool: 'forks', isolate: true } as const;

export default defineConfig({
  test: {
    // Two cores: more processes than that only make the timeouts lie.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          ...oneGraphql,
          include: ['{packages,services}/*/src/**/*.test.ts', 'scripts/**/*.test.ts', 'test/{testkit,benchmark,parity,soak}/**/*.test.ts'],
          exclude: ['**/*.native.test.ts', '**/node_modules/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'native',
          ...oneProcessPerFile,
          include: ['{packages,services}/*/src/**/*.native.test.ts'],
          // TensorFlow's start-up notices would stand between the test results.
          env: { TF_CPP_MIN_LOG_LEVEL: '3' },
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: 'integration',
          ...oneGraphql,
          ...oneProcessPerFile,
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/testkit/global-stack.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          ...oneGraphql,
          ...oneProcessPerFile,
          fileParallelism: false,
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/testkit/global-stack.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'faults',
          ...oneGraphql,
          ...oneProcessPerFile,
          fileParallelism: false,
          include: ['test/faults/**/*.test.ts'],
          globalSetup: ['test/testkit/global-stack.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
