/** `tsx scripts/infra/nats-conf.ts` writes infra/nats/nats.conf from the permissions in packages/protocol, which are the one place that defines them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROLE_PERMISSIONS, SERVICE_ROLES, type ServiceRole } from '@roentgen/protocol';

export const NATS_CONF_PATH = join(import.meta.dirname, '..', '..', 'infra', 'nats', 'nats.conf');

const subjects = (list: readonly string[]) => `[${list.map((subject) => `"${subject}"`).join(', ')}]`;

function userBlock(role: ServiceRole): string {
  const { publish, subscribe } = ROLE_PERMISSIONS[role];
  return `    {
      user: ${role}
      password: $NATS_${role.toUpperCase()}_PASSWORD
      permissions {
        publish { allow: ${subjects(publish)} }
        subscribe { allow: ${subjects(subscribe)} }
      }
    }`;
}

/** Configuration of the broker for containers; the passwords come from its environment. */
export function renderNatsConf(): string {
  return `# Written by scripts/infra/nats-conf.ts from packages/protocol: change it there.
port: 4222
http: 8222
# Room for a 2,000 KiB frame of gradients.
max_payload: 2MB
jetstream { store_dir: /data }
authorization {
  users: [
${SERVICE_ROLES.map(userBlock).join('\n')}
  ]
}
`;
}

if (process.argv[1] === import.meta.filename) writeFileSync(NATS_CONF_PATH, renderNatsConf());
