import type { GraphQLField, GraphQLSchema } from 'graphql';
import { ACTIONS, ForbiddenError, assertCan, type Action, type Actor } from '@roentgen/domain';
import { assertStorable } from './arguments.js';

type RootField = GraphQLField<unknown, { readonly actor: Actor }>;

/**
 * Puts the access check before every field of Query, Mutation and Subscription: the actor must be allowed the action that the field declares
 * with `@Allow`. A field that declares none is refused to everyone. What it is given is looked at, too: see assertStorable.
 */
export function enforceAccess(schema: GraphQLSchema): GraphQLSchema {
  for (const field of rootFields(schema)) {
    const { resolve, subscribe } = field;
    const check = (actor: Actor) => assertAllowed(field, actor);
    if (resolve !== undefined) {
      field.resolve = (source, args, context, info) => {
        check(context.actor);
        assertStorable(args);
        return resolve(source, args, context, info);
      };
    }
    if (subscribe !== undefined) {
      field.subscribe = (source, args, context, info) => {
        check(context.actor);
        assertStorable(args);
        return subscribe(source, args, context, info);
      };
    }
  }
  return schema;
}

/** The fields of Query, Mutation and Subscription. */
export function rootFields(schema: GraphQLSchema): RootField[] {
  return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    type ? Object.values(type.getFields()) : [],
  );
}

/** The action that a root field declares; null when it declares none, or one that does not exist. */
export function actionOf(field: RootField): Action | null {
  const declared = field.extensions['action'];
  return ACTIONS.find((action) => action === declared) ?? null;
}

function assertAllowed(field: RootField, actor: Actor): void {
  const action = actionOf(field);
  if (action === null) throw new ForbiddenError(`Nobody may use ${field.name}: it declares no action.`, { field: field.name });
  assertCan(actor, action, actor.projectId);
}
