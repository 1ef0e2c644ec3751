import { ROLE_PERMISSIONS, SERVICE_ROLES } from '@roentgen/protocol';
import { locateMinio, startStack, type Stack, type StackConnections, type StackOptions } from '@roentgen/local-stack';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The stack that runs for this project: `inject('stack')`. NATS users: gateway, coordinator, worker with their rights, admin with all. */
    stack: StackConnections;
  }
}

/** Buckets that the worker's store identity may use. Each test file takes its own bucket, database schema and subject prefix. */
export const TEST_BUCKET_PATTERN = 'test-*';

/** Empty parts with the users that tests know. `TEST_STORE=minio` takes MinIO where there is one, else SeaweedFS is the store. */
export function startTestStack(kind: Pick<StackOptions, 'profile' | 'dataDirectory'> = { profile: 'ephemeral' }): Promise<Stack> {
  const minioBin = process.env.TEST_STORE === 'minio' ? locateMinio(process.env) : undefined;
  return startStack({
    ...kind,
    natsUsers: [...SERVICE_ROLES.map((name) => ({ name, permissions: ROLE_PERMISSIONS[name] })), { name: 'admin' }],
    bucket: TEST_BUCKET_PATTERN,
    ...(minioBin === undefined ? {} : { minioBin }),
    onPartExit: (part, reason) => console.error(`test stack: ${part} ${reason}`),
  });
}

/** One ephemeral stack per project and run; test files share it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stack = await startTestStack();
  const { postgres, nats, store } = stack;
  project.provide('stack', { postgres, nats, store });
  return () => stack.stop();
}
