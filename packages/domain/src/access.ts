import { ForbiddenError } from './errors.js';
import type { ProjectId, TokenId } from './ids.js';

/** Roles of a token in its project, each including the ones before it. */
export const ROLES = ['viewer', 'analyst', 'trainer', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Who is asking: one API token, which belongs to one project. */
export interface Actor {
  readonly tokenId: TokenId;
  readonly tokenName: string;
  readonly projectId: ProjectId;
  readonly role: Role;
}

/** Everything that can be done, with the least role that may. An action that is not listed here does not exist: deny by default. */
const LEAST_ROLE = {
  'project:read': 'viewer',
  'dataset:read': 'viewer',
  'run:read': 'viewer',
  'model:read': 'viewer',
  'weights:read': 'viewer',
  'worker:read': 'viewer',
  'prediction:read': 'viewer',
  'prediction:start': 'analyst',
  'model:export': 'analyst',
  'upload:write': 'analyst',
  'dataset:write': 'trainer',
  'weights:import': 'trainer',
  'run:start': 'trainer',
  'run:control': 'trainer',
  'worker:control': 'admin',
  'janitor:read': 'admin',
  'janitor:run': 'admin',
  'token:read': 'admin',
  'token:write': 'admin',
} as const satisfies Record<string, Role>;

export type Action = keyof typeof LEAST_ROLE;
export const ACTIONS = Object.keys(LEAST_ROLE) as readonly Action[];

/** Whether the actor may do this to an object of that project. */
export function can(actor: Actor, action: Action, projectId: ProjectId): boolean {
  return actor.projectId === projectId && ROLES.indexOf(actor.role) >= ROLES.indexOf(LEAST_ROLE[action]);
}

/** @throws ForbiddenError naming the role that the actor has and the one it takes */
export function assertCan(actor: Actor, action: Action, projectId: ProjectId): void {
  if (can(actor, action, projectId)) return;
  throw new ForbiddenError(
    `Token "${actor.tokenName}" has the role ${actor.role}; ${action} takes ${LEAST_ROLE[action]} in the same project.`,
    {
      action,
      role: actor.role,
      needs: LEAST_ROLE[action],
    },
  );
}
