import type { RunOwners } from '../state/state.ts';
import { steadyNow } from './clock.ts';

const FRESH_MS = 250;

/** How many messages the runs hold: counted a few times a second, with what was added since put on top. */
export function createQueueGauge(
  runOwners: Pick<RunOwners, 'countMessages'>,
  runIds: () => string[],
): { read: () => number; add: (messages: number) => void } {
  let counted = 0;
  let countedAt = Number.NEGATIVE_INFINITY;
  return {
    read() {
      const now = steadyNow();
      if (now - countedAt >= FRESH_MS) {
        countedAt = now;
        counted = runIds().reduce((sum, runId) => sum + runOwners.countMessages(runId), 0);
      }
      return counted;
    },
    add(messages) {
      counted += messages;
    },
  };
}
