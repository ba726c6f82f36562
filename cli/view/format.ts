import type { Failure } from '../../core/model/errors.ts';
import { clean } from './text.ts';

export {
  formatBytes,
  formatCount,
  formatDuration,
  formatRemaining,
  plural,
  shortDigest,
} from '../../core/status/format.ts';

/** Local time of day, `14:05:09`, with the date in front where it is not today's. */
export function formatClock(at: number, now: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** `unauthorized (permanent): what happened`, harmless for a terminal whatever a registry put in. */
export function describeFailure(failure: Failure): string {
  const kind = failure.code === failure.class ? '' : ` (${failure.class})`;
  return `${failure.code}${kind}: ${clean(failure.message)}`;
}
