import type { State } from '../state/state.ts';
import { steadyNow } from './clock.ts';
import { giveSecondChances } from './second-chances.ts';
import type { PromisedWork } from './work.ts';

const LEAST_EVERY_MS = 60_000;
const MOST_EVERY_MS = 1_000;
const PRUNE_EVERY_MS = 3_600_000;

export interface Upkeep {
  /** A run has ended: what is settled of it need not be kept. */
  runEnded(runId: string): void;
  stop(): void;
}

/**
 * What a long-lived process does from time to time: it tries dead letters again, marks runs of processes that died, and
 * lets go of what nobody needs any more.
 *
 * @param options.signal no more is begun when it fires
 * @param options.redriveAfterMs pause before the second chance of a dead letter; 0 for none
 * @param options.failed of what no outcome can tell of, as a disk that is full
 */
export function startUpkeep(
  state: State,
  work: PromisedWork,
  options: { redriveAfterMs: number; signal: AbortSignal; failed: (error: unknown) => void },
): Upkeep {
  const { redriveAfterMs, signal, failed } = options;
  const ended: string[] = [];
  let prunedAt = steadyNow();

  function dropEnded(): void {
    for (const runId of ended.splice(0)) state.deadLetters.dropSettled(runId);
  }

  function look(): void {
    if (signal.aborted) return;
    const now = Date.now();
    dropEnded();
    if (redriveAfterMs > 0) giveSecondChances(state, work, { pauseMs: redriveAfterMs, now });
    state.runOwners.closeAbandoned(now);
    if (steadyNow() - prunedAt < PRUNE_EVERY_MS) return;
    state.prune(now);
    prunedAt = steadyNow();
  }

  const everyMs = redriveAfterMs === 0 ? LEAST_EVERY_MS : Math.min(LEAST_EVERY_MS, redriveAfterMs);
  const timer = setInterval(
    () => {
      try {
        look();
      } catch (error) {
        failed(error);
      }
    },
    Math.max(MOST_EVERY_MS, everyMs),
  );
  return {
    runEnded: (runId) => ended.push(runId),
    stop() {
      clearInterval(timer);
      dropEnded();
    },
  };
}
