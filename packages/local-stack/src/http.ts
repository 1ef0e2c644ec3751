const PROBE_TIMEOUT_MS = 2_000;

/** Status of a GET; undefined while nothing answers. */
export async function statusOf(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return undefined;
  }
}

export const answersOk = async (url: string): Promise<boolean> => (await statusOf(url)) === 200;
