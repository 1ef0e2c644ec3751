import { TransferError } from './errors.js';
import { connectionProblem } from './http-transport.js';

/** GETs something from the object store. `what`: how messages call it. @throws TransferError */
export async function download(url: string, what: string, signal?: AbortSignal): Promise<Response> {
  const { origin } = new URL(url);
  const response = await fetch(url, { ...(signal && { signal }) }).catch((error: unknown) => {
    throw new TransferError(`Cannot read from the object store at ${origin}: ${connectionProblem(error)}.`, { cause: error });
  });
  if (!response.ok) throw new TransferError(`The object store at ${origin} answered HTTP ${response.status} to the download of ${what}.`);
  return response;
}
