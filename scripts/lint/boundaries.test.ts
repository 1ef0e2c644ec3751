import { ESLint } from 'eslint';
import { expect, test } from 'vitest';

const eslint = new ESLint();

/** What the import rules say about one line of code, as if it stood in an existing file of the room. */
async function complaints(file: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(`${code}\n`, { filePath: file });
  return (result?.messages ?? []).filter((m) => m.ruleId === 'no-restricted-imports').map((m) => m.message);
}

const FORBIDDEN: readonly (readonly [file: string, code: string])[] = [
  ['services/coordinator/src/config.ts', `import pg from 'pg';`],
  ['services/coordinator/src/config.ts', `import { connect } from 'nats';`],
  ['services/coordinator/src/config.ts', `import { Counter } from 'prom-client';`],
  ['packages/messaging/src/bus.ts', `import { trace } from '@opentelemetry/api';`],
  ['services/coordinator/src/config.ts', `import { Session } from '@roentgen/tensorflow';`],
  ['packages/domain/src/ids.ts', `import { createLogger } from '@roentgen/logger';`],
  ['packages/database/src/database.ts', `import { Bus } from '@roentgen/messaging';`],
  ['packages/protocol/src/codec.ts', `import { x } from '../../../test/testkit/seed.js';`],
  ['packages/protocol/src/codec.ts', `import { newId } from '@roentgen/domain/src/ids.js';`],
  ['services/coordinator/src/config.ts', `import tf from '@tensorflow/tfjs-node-gpu';`],
];

test.each(FORBIDDEN)(
  '%s may not say %s',
  async (file, code) => {
    expect(await complaints(file, code)).not.toEqual([]);
  },
  60_000,
);

test.each([
  ['packages/database/src/database.ts', `import pg from 'pg';`],
  ['services/coordinator/src/config.ts', `import { newId } from '@roentgen/domain';`],
  ['packages/telemetry/src/otlp-tracer.ts', `import { trace } from '@opentelemetry/api';`],
  ['services/coordinator/src/scheduling/scheduler.ts', `import { stateEvent } from '../recording/state-event.js';`],
])(
  '%s may say %s',
  async (file, code) => {
    expect(await complaints(file, code)).toEqual([]);
  },
  60_000,
);
