import { setTimeout as sleep } from 'node:timers/promises';

const ATTEMPTS_WITHOUT_PROGRESS = 7;
const BASE_MS = 50;

/**
 * Sends a batch until the service has taken all of it. A batch call of AWS can take a part and hand the rest back; AWS
 * asks for exponential backoff then (BatchWriteItem, "UnprocessedItems").
 *
 * @param step sends the batch and returns the entries that were not taken
 * @param giveUp makes the error for entries that were refused 7 times in a row without progress, about 3 s
 */
export async function sendUntilTaken<T>(
  batch: T[],
  step: (batch: T[]) => Promise<T[]>,
  giveUp: (rest: T[]) => Error,
): Promise<void> {
  let rest = batch;
  let stalls = 0;
  while (rest.length > 0) {
    const left = await step(rest);
    if (left.length === 0) return;
    stalls = left.length < rest.length ? 0 : stalls + 1;
    if (stalls >= ATTEMPTS_WITHOUT_PROGRESS) throw giveUp(left);
    rest = left;
    await sleep(Math.random() * BASE_MS * 2 ** stalls);
  }
}
