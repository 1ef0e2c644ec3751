import { randomUUID } from 'node:crypto';
import type { RoentgenClient } from './client.js';
import { FailedError } from './errors.js';
import {
  JanitorFindingsDocument,
  type JanitorFindingsQuery,
  JanitorPassDocument,
  type JanitorPassFieldsFragment,
  RunJanitorDocument,
} from './generated/graphql.js';
import { accepted } from './mutation-result.js';
import { allNodes } from './pages.js';
import { pollUntil } from './poll.js';

export type JanitorPass = JanitorPassFieldsFragment;
export type JanitorFinding = JanitorFindingsQuery['janitorPass']['findings']['nodes'][number];

const FINDINGS_AT_ONCE = 500;

/**
 * Has the object store of the project looked through for what nobody needs, and for what is missing; waits for the end. Without `delete` nothing is
 * changed. @throws FailedError (JANITOR_FAILED) when the pass failed
 */
export async function runJanitor(
  client: RoentgenClient,
  input: { readonly delete: boolean },
  options: { readonly onProgress?: (pass: JanitorPass) => void; readonly signal?: AbortSignal } = {},
): Promise<JanitorPass> {
  const { onProgress, signal } = options;
  const { runJanitor: asked } = await client.execute(RunJanitorDocument, { input: { ...input, idempotencyKey: randomUUID() } }, { signal });
  const { id } = accepted(asked, 'pass');
  const pass = await pollUntil(
    async () => (await client.execute(JanitorPassDocument, { id }, { signal })).janitorPass,
    ({ status }) => status === 'SUCCEEDED' || status === 'FAILED',
    (answer) => onProgress?.(answer),
    signal,
  );
  if (pass.status === 'FAILED')
    throw new FailedError('JANITOR_FAILED', `${id} failed: ${pass.errorMessage ?? 'see the coordinators’ logs'}`);
  return pass;
}

/** Everything that a pass found, in that order. */
export function janitorFindings(client: RoentgenClient, passId: string, signal?: AbortSignal): Promise<JanitorFinding[]> {
  return allNodes(async (after) => {
    const variables = { id: passId, first: FINDINGS_AT_ONCE, after };
    return (await client.execute(JanitorFindingsDocument, variables, { signal })).janitorPass.findings;
  });
}
