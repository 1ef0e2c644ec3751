import { TransferError } from './errors.js';
import { connectionProblem } from './http-transport.js';
import { RETRY_POLICY, withRetries } from './retry.js';

/** Nobody answered. */
class StoreAwayError extends TransferError {}
/** An answer that may be another one soon. */
class StoreTroubleError extends TransferError {}

const AWAY_FOR_MS = 60_000;

/**
 * Sends a file to the object store with the signed URL that the API gave for it. Safe to repeat: the URL names one key. A store
 * that does not answer is waited for, a minute long.
 * @throws TransferError when the store refuses it or stays away
 */
export async function uploadFile(
  url: string,
  bytes: Uint8Array<ArrayBuffer>,
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const { timeoutMs = 60_000, signal } = options;
  // A store that says what is wrong with it, such as a full disk, is not waited for: somebody has to hear of it.
  const whenThere = () =>
    withRetries(
      () => put(url, bytes, timeoutMs, signal),
      (error) => error instanceof StoreAwayError,
      { ...RETRY_POLICY, forMs: AWAY_FOR_MS },
      signal,
    );
  await withRetries(whenThere, (error) => error instanceof StoreTroubleError, RETRY_POLICY, signal);
}

async function put(url: string, bytes: Uint8Array<ArrayBuffer>, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const { origin, pathname } = new URL(url);
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'PUT',
      body: bytes,
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    await response.arrayBuffer();
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw new StoreAwayError(
      `Cannot send to the object store at ${origin}: ${timeout.aborted ? `no answer within ${timeoutMs} ms` : connectionProblem(error)}.`,
      { cause: error },
    );
  }
  if (response.ok) return;
  const message = `The object store at ${origin} answered HTTP ${response.status} to PUT ${pathname}.${storageHint(response.status)}`;
  if (response.status >= 500 || response.status === 408 || response.status === 429) throw new StoreTroubleError(message);
  throw new TransferError(message);
}

/** 507 Insufficient Storage says it; stores that have no word for a full disk answer 500. */
function storageHint(status: number): string {
  const again = 'free space there or make the disk larger, then start again.';
  if (status === 507) return ` It is full: ${again}`;
  return status === 500 ? ` If its disk is full, ${again} Otherwise its log says why.` : '';
}
