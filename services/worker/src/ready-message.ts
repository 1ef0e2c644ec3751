import { z } from 'zod';
import { DEVICES, idSchema } from '@roentgen/domain';

/** Compute process → supervisor, once it takes work; also what the worker prints then. */
export const ReadyMessageSchema = z.object({ ready: z.literal('worker'), device: z.enum(DEVICES), workerId: idSchema('wkr') });
export type ReadyMessage = z.infer<typeof ReadyMessageSchema>;
