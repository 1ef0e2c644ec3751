/** What each service role may publish and subscribe to; the first token is the system's prefix. Everything else the broker refuses. */
export interface SubjectPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

export const SERVICE_ROLES = ['gateway', 'coordinator', 'worker'] as const;
export type ServiceRole = (typeof SERVICE_ROLES)[number];

/** Each role has its own inbox: no other role can read its replies (two workers, which share a role, can read each other's). */
export const inboxPrefix = (role: ServiceRole): string => `_INBOX_${role}`;

/** Only the coordinator creates streams and consumers; a worker pulls from the consumers that exist and acknowledges. */
export const ROLE_PERMISSIONS: Readonly<Record<ServiceRole, SubjectPermissions>> = {
  gateway: {
    publish: ['*.wake.coordinator', '*.live.*'],
    subscribe: ['*.live.*', '_INBOX_gateway.>'],
  },
  coordinator: {
    publish: ['*.control.*.*', '*.live.*', '*.work.*', '$JS.API.>', '_INBOX_worker.>'],
    subscribe: [
      '*.worker.heartbeat.*',
      '*.worker.register.*',
      '*.events.record.*',
      '*.chunk.claim.*',
      '*.chunk.result.*',
      '*.wake.coordinator',
      '_INBOX_coordinator.>',
    ],
  },
  worker: {
    publish: [
      '*.worker.heartbeat.*',
      '*.worker.register.*',
      '*.events.record.*',
      '*.chunk.claim.*',
      '*.chunk.result.*',
      '$JS.API.CONSUMER.INFO.*.*',
      '$JS.API.CONSUMER.MSG.NEXT.*.*',
      '$JS.ACK.>',
      '_INBOX_coordinator.>',
    ],
    subscribe: ['*.control.offer.*', '*.control.stop.*', '_INBOX_worker.>'],
  },
};
