import { performance } from 'node:perf_hooks';

const LOOK_EVERY_MS = 1_000;
/** Less than this is the clock being adjusted little by little, or rounding. */
const MIN_STEP_MS = 1_000;

/**
 * Epoch ms since the start of the process, by a clock that nobody sets: for times that are only compared with each
 * other.
 */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Watches the wall clock for being set back. Whatever waits for a time of the old clock would wait until that comes
 * again.
 * @param steppedBack called with how far, in ms
 */
export function watchClock(steppedBack: (byMs: number) => void): { stop(): void } {
  let lead = Date.now() - steadyNow();
  const timer = setInterval(() => {
    const leadNow = Date.now() - steadyNow();
    const byMs = lead - leadNow;
    lead = leadNow;
    if (byMs >= MIN_STEP_MS) steppedBack(Math.round(byMs));
  }, LOOK_EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
