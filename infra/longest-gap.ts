import { Cron } from 'croner';
import type { RunSchedule } from './props.ts';

const unitMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
/** A Monday, so that the week-end of a schedule for working days is among the first times. */
const START = new Date('2024-01-01T00:00:00Z');
/**
 * More than a year of a daily schedule, and more than a week of one that is due every ten minutes of the working day.
 */
const TIMES = 1_000;

/**
 * The longest time between two starts of a schedule, in ms: 25 hours for a daily one in a zone whose clocks are put
 * back. Undefined for `at(...)`, which starts once, for a schedule that never starts again, and for one that cannot be
 * read.
 *
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
export function longestGap({ expression, timeZone = 'UTC' }: RunSchedule): number | undefined {
  const rate = /^rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)$/.exec(expression);
  if (rate) {
    const [, count, unit] = rate;
    return Number(count) * (unit === 'day' ? unitMs.day : unit === 'hour' ? unitMs.hour : unitMs.minute);
  }
  const fields = /^cron\((.*)\)$/.exec(expression)?.[1]?.trim().split(/\s+/);
  if (fields?.length !== 6) return undefined;
  const [minute, hour, dayOfMonth = '', month, dayOfWeek = '', year] = fields;
  // EventBridge counts the days of the week from 1 (Sunday), but not the number after '#'.
  const weekdays = dayOfWeek.replace(/(?<![#\d])[1-7](?!\d)/g, (day) => String(Number(day) - 1));
  const pattern = [0, minute, hour, dayOfMonth.replace('?', '*'), month, weekdays.replace('?', '*'), year].join(' ');
  let times: Date[];
  try {
    times = new Cron(pattern, { timezone: timeZone, paused: true, sloppyRanges: true }).nextRuns(TIMES, START);
  } catch {
    return undefined;
  }
  const gaps = times.slice(1).map((time, at) => time.getTime() - (times[at]?.getTime() ?? 0));
  return gaps.length === 0 ? undefined : Math.max(...gaps);
}
