import { createToken, revokeToken } from '@roentgen/client';
import { type CommandContext, connect } from '../session.js';

export interface CreateTokenOptions {
  readonly name: string;
  readonly role: 'viewer' | 'analyst' | 'trainer' | 'admin';
  readonly expiresInDays?: number;
}

/** `roentgen tokens create`. The token is the result and goes to stdout; the rest goes to stderr. */
export async function createTokenCommand(context: CommandContext, { name, role, expiresInDays }: CreateTokenOptions): Promise<void> {
  const role_ = ({ viewer: 'VIEWER', analyst: 'ANALYST', trainer: 'TRAINER', admin: 'ADMIN' } as const)[role];
  const token = await createToken(connect(context), {
    name,
    role: role_,
    ...(expiresInDays !== undefined && { expiresInHours: expiresInDays * 24 }),
  });
  context.output.note(`${token.id} (${role}), shown this once:`);
  context.output.result(token, () => token.token);
}

/** `roentgen tokens revoke`. */
export async function revokeTokenCommand(context: CommandContext, tokenId: string): Promise<void> {
  const token = await revokeToken(connect(context), tokenId);
  context.output.result({ revoked: token.id }, () => `${token.id} (${token.name}) is revoked`);
}
