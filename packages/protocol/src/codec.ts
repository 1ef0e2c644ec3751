import { z } from 'zod';
import { InvalidMessageError, UnknownVersionError, type Message, type Request } from './define-message.js';

/** What every message carries around its payload. */
const EnvelopeSchema = z.object({
  v: z.number().int().positive(),
  name: z.string(),
  messageId: z.string().min(1),
  sentAt: z.iso.datetime(),
  payload: z.unknown(),
});

/** A received message. `version` is the sender's. */
export interface Envelope<Payload> {
  readonly version: number;
  readonly messageId: string;
  readonly sentAt: string;
  readonly payload: Payload;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The bytes of a message. @throws InvalidMessageError when the payload breaks its own schema, before anything is sent */
export function encodeMessage<P>(message: AnyMessage<P>, payload: P, envelope: { messageId: string; sentAt: Date }): Uint8Array {
  const parsed = message.schema.safeParse(payload);
  if (!parsed.success)
    throw new InvalidMessageError(`${message.name} cannot be sent: ${z.prettifyError(parsed.error)}`, { message: message.name });
  return encoder.encode(
    JSON.stringify({
      v: message.version,
      name: message.name,
      messageId: envelope.messageId,
      sentAt: envelope.sentAt.toISOString(),
      payload: parsed.data,
    }),
  );
}

/**
 * Parses received bytes. Unknown fields are ignored; the version before the current one is still accepted.
 * @throws UnknownVersionError, InvalidMessageError
 */
export function decodeMessage<P>(message: AnyMessage<P>, bytes: Uint8Array): Envelope<P> {
  const envelope = EnvelopeSchema.safeParse(parseJson(message.name, bytes));
  if (!envelope.success)
    throw new InvalidMessageError(`${message.name}: no envelope: ${z.prettifyError(envelope.error)}`, { message: message.name });
  const { v, name, payload } = envelope.data;
  if (name !== message.name) throw new InvalidMessageError(`expected ${message.name}, got ${name}.`, { expected: message.name, got: name });
  assertKnownVersion(name, message.version, v);
  const parsed = message.schema.safeParse(payload);
  if (!parsed.success) throw new InvalidMessageError(`${name}: ${z.prettifyError(parsed.error)}`, { message: name });
  return { version: v, messageId: envelope.data.messageId, sentAt: envelope.data.sentAt, payload: parsed.data };
}

const ReplySchema = z.discriminatedUnion('ok', [
  z.object({ v: z.number().int().positive(), ok: z.literal(true), payload: z.unknown() }),
  z.object({ v: z.number().int().positive(), ok: z.literal(false), error: z.object({ code: z.string().min(1), message: z.string() }) }),
]);

/** The answer to a request: a value, or the code and message of the error that the other side met. */
export type Reply<R> =
  { readonly ok: true; readonly payload: R } | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

/**
 * The bytes of an answer. `version` is that of the request it answers, so that an older sender can read it.
 * @throws InvalidMessageError when the payload breaks its own schema
 */
export function encodeReply<R>(request: AnyRequest<R>, version: number, reply: Reply<R>): Uint8Array {
  if (!reply.ok) return encoder.encode(JSON.stringify({ v: version, ...reply }));
  const parsed = request.reply.safeParse(reply.payload);
  if (!parsed.success)
    throw new InvalidMessageError(`The reply to ${request.name} cannot be sent: ${z.prettifyError(parsed.error)}`, {
      message: request.name,
    });
  return encoder.encode(JSON.stringify({ v: version, ok: true, payload: parsed.data }));
}

/** @throws UnknownVersionError, InvalidMessageError */
export function decodeReply<R>(request: AnyRequest<R>, bytes: Uint8Array): Reply<R> {
  const what = `reply to ${request.name}`;
  const envelope = ReplySchema.safeParse(parseJson(what, bytes));
  if (!envelope.success) throw new InvalidMessageError(`${what}: ${z.prettifyError(envelope.error)}`, { message: request.name });
  assertKnownVersion(what, request.version, envelope.data.v);
  if (!envelope.data.ok) return { ok: false, error: envelope.data.error };
  const parsed = request.reply.safeParse(envelope.data.payload);
  if (!parsed.success) throw new InvalidMessageError(`${what}: ${z.prettifyError(parsed.error)}`, { message: request.name });
  return { ok: true, payload: parsed.data };
}

type AnyRequest<R> = Pick<Request<string, readonly string[], unknown, R>, 'name' | 'version' | 'reply'>;
type AnyMessage<P> = Pick<Message<string, readonly string[], P>, 'name' | 'version' | 'schema'>;

function assertKnownVersion(name: string, known: number, v: number): void {
  if (v === known || v === known - 1) return;
  throw new UnknownVersionError(`${name} has version ${v}; this receiver knows ${known} and the one before. Upgrade the older side.`, {
    name,
    v,
  });
}

function parseJson(name: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new InvalidMessageError(`${name}: ${bytes.length} bytes that are not JSON.`, { bytes: bytes.length }, { cause });
  }
}
