import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

/** Asks again and again, first often and then once a second, until the answer is final; gives that answer. */
export async function pollUntil<T>(
  ask: () => Promise<T>,
  isFinal: (answer: T) => boolean,
  onAnswer: (answer: T) => void,
  signal?: AbortSignal,
): Promise<T> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const answer = await ask();
    onAnswer(answer);
    if (isFinal(answer)) return answer;
    await delay(pauseMs, undefined, { ...(signal && { signal }) });
  }
}
