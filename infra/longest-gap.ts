import { Token } from 'aws-cdk-lib';
import { Cron } from 'croner';
import { configurationError } from '../core/model/errors.ts';
import { quote } from '../core/model/quote.ts';
import type { RunSchedule } from './run-schedule.ts';
import { readExpression } from './schedule-expression.ts';

/** A Monday, so that the week-end of a schedule for working days is among the first times. */
const START = new Date('2024-01-01T00:00:00Z');
/**
 * More than a year of a daily schedule, and more than a week of one that is due every ten minutes of the working day.
 */
const TIMES = 1_000;

/**
 * The longest time between two starts of a schedule, in ms: 25 hours for a daily one in a zone whose clocks are put
 * back. Undefined for a schedule that starts once, and for those that only AWS can tell: a token, `cron(0 22-2 * * ? *)`.
 *
 * @throws TranshipError `config-invalid` where it cannot be read, or never starts anything: 31 February
 */
export function longestGap(schedule: RunSchedule): number | undefined {
  if (Token.isUnresolved(schedule.expression)) return undefined;
  const expression = readExpression(schedule);
  if (expression.kind === 'rate') return expression.everyMs;
  if (expression.kind === 'once') return undefined;
  const times = startsOf(expression.fields, schedule.timeZone ?? 'UTC');
  if (times?.length === 0) {
    throw configurationError(`schedule ${schedule.name}: ${quote(schedule.expression)} never starts anything`, {
      mend: 'check that the month has this day, and that the year is not over',
    });
  }
  const gaps = times?.slice(1).map((time, at) => time.getTime() - (times[at]?.getTime() ?? 0)) ?? [];
  return gaps.length === 0 ? undefined : Math.max(...gaps);
}

/** The first starts; undefined where croner does not read what AWS does. */
function startsOf([minute, hour, dayOfMonth = '', month, dayOfWeek = '', year]: string[], timezone: string) {
  // EventBridge counts the days of the week from 1 (Sunday), but not the number after '#'.
  const weekdays = dayOfWeek.replace(/(?<![#/\d])[1-7](?!\d)/g, (day) => String(Number(day) - 1));
  const pattern = [0, minute, hour, dayOfMonth.replace('?', '*'), month, weekdays.replace('?', '*'), year].join(' ');
  try {
    return new Cron(pattern, { timezone, paused: true, sloppyRanges: true }).nextRuns(TIMES, START);
  } catch {
    return undefined;
  }
}
