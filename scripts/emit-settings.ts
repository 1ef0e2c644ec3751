/** Writes docs/settings.md from the variables that the services read; `--check` writes nothing and fails when the file is not what the code gives. */
import { join } from 'node:path';
import {
  CACHE_VARIABLES,
  LOG_VARIABLES,
  NATS_VARIABLES,
  POSTGRES_VARIABLES,
  STARTUP_VARIABLES,
  STORE_VARIABLES,
  TRACING_VARIABLES,
  type Variable,
  type Variables,
} from '@roentgen/config';
import { COORDINATOR_VARIABLES } from '@roentgen/coordinator';
import { GATEWAY_VARIABLES } from '@roentgen/gateway';
import { WORKER_VARIABLES } from '@roentgen/worker';
import { ROOT, emit } from './emitted-file.js';

const SHARED = {
  ...POSTGRES_VARIABLES,
  ...NATS_VARIABLES,
  ...STORE_VARIABLES,
  ...LOG_VARIABLES,
  ...STARTUP_VARIABLES,
  ...TRACING_VARIABLES,
  ...CACHE_VARIABLES,
};
const SECTIONS: readonly (readonly [title: string, variables: Variables])[] = [
  ['Shared', SHARED],
  ['Gateway', withoutShared(GATEWAY_VARIABLES)],
  ['Coordinator', withoutShared(COORDINATOR_VARIABLES)],
  ['Worker', withoutShared(WORKER_VARIABLES)],
];

const TEXT = `<!-- Emitted from the services' configuration by \`npm run settings:emit\`: change the code, not this file. -->

# Settings

Every setting is an environment variable; an empty one counts as not set. A service that is given a bad value does not start and names each with its rule. \`npm start\`
sets what the parts need to find each other; with containers [.env.example](../.env.example) has what has no default.

The worker connects to NATS and the object store only, and reads no variable of Postgres.
`;

emit(join(ROOT, 'docs/settings.md'), [TEXT, ...SECTIONS.map(section)].join('\n'), { command: 'npm run settings:emit' });

function withoutShared(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !(name in SHARED)));
}

function section([title, variables]: readonly [string, Variables]): string {
  const rows = Object.entries(variables).map(([name, variable]) => `| \`${name}\` | ${cell(variable)} |`);
  return `## ${title}\n\n| variable | meaning |\n| --- | --- |\n${rows.join('\n')}\n`;
}

function cell(variable: Variable<unknown>): string {
  const required = variable.schema.safeParse(undefined).success ? '' : '; **required**';
  const secret = variable.secret === true ? '; secret, never printed' : '';
  return `${variable.description}${rule(variable)}${required}${secret}`.replaceAll('|', '\\|');
}

/** The rule, as an error would say it: what no variable takes is a control character. */
function rule({ schema }: Variable<unknown>): string {
  const refused = schema.safeParse('\u0000');
  return refused.success ? '' : `; ${refused.error.issues.map(({ message }) => message).join(', ')}`;
}
