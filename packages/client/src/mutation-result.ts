import { type InputIssue, MutationError, UnexpectedResponseError } from './errors.js';

interface MutationPayload {
  readonly ok: boolean;
  readonly error: { readonly code: string; readonly message: string; readonly inputErrors: readonly InputIssue[] } | null;
}

/** The object that a mutation made. @throws MutationError when the answer is `ok: false` */
export function accepted<Payload extends MutationPayload, Key extends Exclude<keyof Payload, keyof MutationPayload>>(
  payload: Payload,
  key: Key,
): NonNullable<Payload[Key]> {
  if (payload.error !== null) throw new MutationError(payload.error.code, payload.error.message, payload.error.inputErrors);
  const made = payload[key];
  if (!payload.ok || made == null) throw new UnexpectedResponseError(`The API answered ok without ${String(key)}.`);
  return made;
}
