import type { ApiRequest } from './api-requests.ts';

/** Shortens what functions ask SQS to wait, so that tests take seconds. */
export interface QueueClock {
  /** The body of a request with its waits cut to the longest. */
  shorten(request: ApiRequest): Record<string, unknown>;
  /** True where a function has said itself when this message comes again. */
  isVisibilityChanged(receiptHandle: string): boolean;
}

/** Who polls waits that long for a message: the redrive function does so to find that there are no more. */
const POLL_SECONDS = 0.1;

export function createQueueClock(longestWaitSeconds: number): QueueClock {
  const changed = new Set<string>();
  const cut = (seconds: unknown) => Math.min(Number(seconds ?? 0), longestWaitSeconds);
  return {
    shorten({ service, operation, input }) {
      if (service !== 'sqs') return input;
      if (operation === 'ReceiveMessage') {
        return { ...input, WaitTimeSeconds: Math.min(Number(input.WaitTimeSeconds ?? 0), POLL_SECONDS) };
      }
      if (operation === 'SendMessage') return { ...input, DelaySeconds: cut(input.DelaySeconds) };
      if (operation === 'SendMessageBatch') {
        const entries = input.Entries as Record<string, unknown>[];
        return { ...input, Entries: entries.map((entry) => ({ ...entry, DelaySeconds: cut(entry.DelaySeconds) })) };
      }
      if (operation === 'ChangeMessageVisibility') {
        changed.add(String(input.ReceiptHandle));
        return { ...input, VisibilityTimeout: cut(input.VisibilityTimeout) };
      }
      return input;
    },
    isVisibilityChanged: (receiptHandle) => changed.has(receiptHandle),
  };
}
