import { explainIgnored } from '../../core/announce/announcement.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import { isStored } from '../../core/announce/intake.ts';
import type { PushEventView } from '../../core/status/view.ts';
import type { PushEvents } from '../state/state.ts';
import type { Delivery } from './hook-server.ts';

const WRITE_EVERY_MS = 1_000;
const MOST_WAITING = 5_000;

export interface PushLog {
  delivered(delivery: Delivery): void;
  close(): void;
}

/**
 * Keeps what was announced, for the status page. It is written a second later, so that no sender waits for it; what
 * comes faster than it can be written, and what a full disk refuses, is not kept.
 */
export function createPushLog(pushEvents: Pick<PushEvents, 'write'>): PushLog {
  let waiting: PushEventView[] = [];
  let timer: NodeJS.Timeout | undefined;

  function write(): void {
    clearTimeout(timer);
    timer = undefined;
    const events = waiting;
    waiting = [];
    if (events.length === 0) return;
    try {
      pushEvents.write(events, Date.now());
    } catch {
      // Nothing depends on it, and whatever does need the disk says so.
    }
  }

  return {
    delivered(delivery) {
      for (const event of eventsOf(delivery, Date.now())) if (waiting.length < MOST_WAITING) waiting.push(event);
      timer ??= setTimeout(write, WRITE_EVERY_MS);
    },
    close: write,
  };
}

/** One for each announced tag, and one for a delivery that was refused whole. A URL of nobody's is none. */
function eventsOf({ sender, status, refusal, results, ignored }: Delivery, at: number): PushEventView[] {
  if (sender === undefined) return [];
  if (refusal !== undefined) return [{ at, sender, status, result: 'refused', what: '', why: refusal }];
  const stored = results.flatMap(({ announcement, fate }) =>
    isStored(fate) ? [{ at, sender, status, result: fate, what: formatAnnouncement(announcement) }] : [],
  );
  const others = ignored.map((one) => {
    const { reason: result, what = '', mend } = one;
    return { at, sender, status, result, what, why: explainIgnored(one), mend };
  });
  return [...stored, ...others];
}
