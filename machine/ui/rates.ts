import type { RunRecord } from '../../core/pipeline/ports/runs.ts';

const LEAST_MS = 500;

/** Bytes a second of runs that go on, from one look at them to the next. */
export function createRates(): { of(run: RunRecord, now: number): number | undefined } {
  const looks = new Map<string, { at: number; bytes: number; rate: number | undefined }>();
  return {
    of({ id, state, counts }, now) {
      if (state !== 'running') {
        looks.delete(id);
        return undefined;
      }
      const before = looks.get(id);
      if (before !== undefined && now - before.at < LEAST_MS) return before.rate;
      const rate =
        before === undefined ? undefined : Math.max(0, ((counts.bytes - before.bytes) * 1000) / (now - before.at));
      looks.set(id, { at: now, bytes: counts.bytes, rate });
      return rate;
    },
  };
}
