import { Field, ObjectType } from 'type-graphql';
import { ConflictError, InvalidInputError, NotFoundError, type InputIssue } from '@roentgen/domain';

@ObjectType({ description: 'One thing that is wrong with what was sent.' })
export class InputError implements InputIssue {
  @Field(() => String, { description: 'Path like `recipe.globalBatchSize` or `files[3].sha256`.' }) field!: string;
  @Field(() => String) message!: string;
}

@ObjectType({ description: 'Why a mutation changed nothing.' })
export class MutationError {
  @Field(() => String, { description: 'Stable: INVALID_INPUT, INVALID_RECIPE, NOT_FOUND, CONFLICT and the like.' }) code!: string;
  @Field(() => String, { description: 'The value, the rule and the fix.' }) message!: string;
  @Field(() => [InputError]) inputErrors!: readonly InputIssue[];
}

/** What every mutation answers beside its object. */
@ObjectType()
export abstract class Payload {
  @Field(() => Boolean, { description: 'Whether it was done; if not, nothing was changed and `error` says why.' }) ok!: boolean;
  @Field(() => MutationError, { nullable: true }) error?: MutationError | null;
}

const MAX_INPUT_ERRORS = 100;

/** Answers a mutation: expected refusals become data, everything else is thrown on. */
export async function answer<T extends object>(
  work: () => Promise<T>,
): Promise<(T & { ok: boolean; error: MutationError | null }) | { ok: false; error: MutationError }> {
  try {
    return { ...(await work()), ok: true, error: null };
  } catch (thrown) {
    if (!(thrown instanceof InvalidInputError || thrown instanceof NotFoundError || thrown instanceof ConflictError)) throw thrown;
    const issues = thrown instanceof InvalidInputError ? thrown.issues : [];
    return { ok: false, error: { code: thrown.code, message: thrown.message, inputErrors: issues.slice(0, MAX_INPUT_ERRORS) } };
  }
}
