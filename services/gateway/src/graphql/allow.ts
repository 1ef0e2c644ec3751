import { Extensions } from 'type-graphql';
import type { Action } from '@roentgen/domain';

/** Declares which action a field of Query, Mutation or Subscription is. A root field without one is refused (access.ts). */
export const Allow = (action: Action): MethodDecorator => Extensions({ action }) as MethodDecorator;
