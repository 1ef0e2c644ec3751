import { z } from 'zod';
import { DEVICES, idSchema } from '@roentgen/domain';
import { HeldAttemptSchema } from '@roentgen/protocol';

/** Compute process → supervisor, once it takes work; also what the worker prints then. */
export const ReadyMessageSchema = z.object({
  ready: z.literal('worker'),
  device: z.enum(DEVICES),
  workerId: idSchema('wkr'),
  /** Where health and metrics are; null where nobody asked for them. */
  healthUrl: z.string().nullable(),
});
/** Compute process → supervisor: the attempt that it computes from now on, null when it has left it. */
export const HoldingMessageSchema = z.object({ holding: HeldAttemptSchema.nullable() });
export type HoldingMessage = z.infer<typeof HoldingMessageSchema>;

export const ComputeMessageSchema = z.union([ReadyMessageSchema, HoldingMessageSchema]);

export type ReadyMessage = z.infer<typeof ReadyMessageSchema>;
