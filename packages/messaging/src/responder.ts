import type { Msg } from 'nats';
import { RoentgenError, coerceError } from '@roentgen/domain';
import type { Logger } from '@roentgen/logger';
import { decodeMessage, encodeReply, type Envelope, type Request } from '@roentgen/protocol';
import { translateError, type BusOperation } from './errors.js';

/** Answers one request, whatever happens: the sender shall not wait for its timeout when we know better. */
export async function respondTo<A extends readonly string[], P, R>(
  request: Request<string, A, P, R>,
  raw: Msg,
  handle: (envelope: Envelope<P>) => Promise<R>,
  operation: BusOperation,
  logger: Logger,
): Promise<void> {
  let version = request.version;
  const refuse = (code: string, message: string) => raw.respond(encodeReply(request, version, { ok: false, error: { code, message } }));
  try {
    const envelope = decodeMessage(request, raw.data);
    version = envelope.version;
    const bytes = await answerOf(request, envelope, handle);
    try {
      raw.respond(bytes);
    } catch (thrown) {
      throw translateError(thrown, { ...operation, what: `the reply to ${request.name}`, bytes: bytes.length });
    }
  } catch (thrown) {
    const err = coerceError(thrown);
    if (err instanceof RoentgenError) {
      logger.debug({ err, subject: raw.subject }, `${request.name} was answered with an error`);
      refuse(err.code, err.message);
    } else {
      logger.error({ err, subject: raw.subject }, `${request.name} failed`);
      refuse('INTERNAL', `${request.name} failed; the cause is in the log of the service that answered.`);
    }
  }
}

async function answerOf<A extends readonly string[], P, R>(
  request: Request<string, A, P, R>,
  envelope: Envelope<P>,
  handle: (envelope: Envelope<P>) => Promise<R>,
): Promise<Uint8Array> {
  const payload = await handle(envelope);
  try {
    return encodeReply(request, envelope.version, { ok: true, payload });
  } catch (cause) {
    // Ours to mend, not the sender's: it must not look like its INVALID_MESSAGE.
    throw new Error(`the handler of ${request.name} broke its promise`, { cause });
  }
}
