import type { OverviewView } from '../core/status/view.ts';

type Point = OverviewView['history'][number];

export interface Bucket {
  /** Epoch ms. */
  at: number;
  label: string;
  bytes: number;
  copied: number;
  failed: number;
}

export interface Buckets {
  by: 'hour' | 'day';
  /** Without a gap, the newest last. */
  list: Bucket[];
}

const HOURS = 24;
const DAYS = 30;
const HOUR_MS = 3_600_000;

/**
 * What runs did by the hour, or by the day where they reach back further than that; hours and days of this machine's
 * clock. A run counts where it began.
 */
export function bucketsOf(points: readonly Point[], now: number): Buckets {
  const oldest = points[0]?.at ?? now;
  const by = now - oldest < HOURS * HOUR_MS ? 'hour' : 'day';
  const starts = by === 'hour' ? hoursBefore(now) : daysBefore(now, oldest);
  const list = starts.map((at): Bucket => ({ at, label: labelOf(at, by), bytes: 0, copied: 0, failed: 0 }));
  for (const point of points) {
    const bucket = list.findLast(({ at }) => at <= point.at);
    if (bucket === undefined) continue;
    bucket.bytes += point.bytes;
    bucket.copied += point.copied;
    bucket.failed += point.failed;
  }
  return { by, list };
}

function hoursBefore(now: number): number[] {
  const last = new Date(now).setMinutes(0, 0, 0);
  return Array.from({ length: HOURS }, (_, back) => last - (HOURS - 1 - back) * HOUR_MS);
}

/** At least a week, so that one run is not one broad bar. */
function daysBefore(now: number, oldest: number): number[] {
  const startOf = (back: number) => {
    const day = new Date(now);
    day.setHours(0, 0, 0, 0);
    return day.setDate(day.getDate() - back);
  };
  let days = 7;
  while (days < DAYS && startOf(days - 1) > oldest) days += 1;
  return Array.from({ length: days }, (_, back) => startOf(days - 1 - back));
}

function labelOf(at: number, by: Buckets['by']): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  if (by === 'hour') return `${two(date.getHours())}:00`;
  return `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
