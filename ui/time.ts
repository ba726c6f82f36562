import { formatDuration } from '../core/status/format.ts';

/** Like `3 min ago`, to the minute. */
export function ago(at: number, now: number): string {
  const ms = now - at;
  if (ms < 60_000) return 'just now';
  return `${largestUnit(ms)} ago`;
}

/** Like `in 3 min`. */
export function ahead(at: number, now: number): string {
  const ms = at - now;
  return ms < 60_000 ? 'in less than a minute' : `in ${largestUnit(ms)}`;
}

function largestUnit(ms: number): string {
  const [number = '', unit = ''] = formatDuration(ms).split(' ');
  return `${number} ${unit}`;
}

/** Date and time of day, by this browser's clock. */
export function dateTime(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
