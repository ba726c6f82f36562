import { Cron } from 'croner';
import { parseDuration } from '../config/duration.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import type { Schedule } from '../model/rule.ts';

/** A schedule as it is written: cron's five fields, or six with seconds in front. */
export interface ScheduleText {
  cron: string;
  timeZone?: string;
  jitter?: string;
}

export const mendTimeZone = 'write it as Europe/Berlin or UTC';

/**
 * Checks a schedule of a user's. Without a time zone, the machine's own is meant.
 * @throws TranshipError `config-invalid`, also for a schedule that never starts anything: 31 February
 */
export function parseSchedule({ cron, timeZone, jitter = '0' }: ScheduleText): Schedule {
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    throw configurationError(`there is no time zone ${quote(timeZone)}`, { mend: mendTimeZone });
  }
  const jitterMs = parseDuration(jitter);
  if (jitterMs === undefined) {
    throw configurationError(`${quote(jitter)} is not a time`, { mend: 'write it as 90s, 5m or 1h' });
  }
  const schedule = { cron, timeZone, jitterMs };
  if (nextStarts(schedule, 1).length === 0) {
    throw configurationError(`${quote(cron)} never starts anything`, {
      mend: 'check that the month has this day: 31 February is none',
    });
  }
  return schedule;
}

/** What is odd about a schedule that can be used: a jitter that reaches past the next start. */
export function describeLongJitter(schedule: Schedule): string | undefined {
  if (schedule.jitterMs === 0) return undefined;
  const starts = nextStarts(schedule, 25);
  const gaps = starts.slice(1).map((at, index) => at - (starts[index] ?? at));
  const shortest = Math.min(...gaps.filter((gap) => gap > 0));
  if (schedule.jitterMs <= shortest) return undefined;
  return `the jitter is longer than the ${Math.round(shortest / 1000)} s between two starts: some starts will be left out`;
}

/** Epoch ms of the next starts, or fewer where there are no more. */
function nextStarts({ cron, timeZone }: Schedule, count: number): number[] {
  try {
    return new Cron(cron, { mode: '5-or-6-parts', timezone: timeZone }).nextRuns(count).map((date) => date.getTime());
  } catch (error) {
    const parts = cron.split(/\s+/).filter(Boolean).length;
    const message = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
    const why =
      [5, 6].includes(parts) || /^@\w+$/.test(cron)
        ? message
        : `it has ${parts} part${parts === 1 ? '' : 's'}, and not five or six`;
    throw configurationError(`${quote(cron)} is not a schedule: ${why}`, {
      mend: 'write it as cron does: "0 3 * * *" is 3 a.m.',
    });
  }
}

/** Whether it is a zone's name: `Europe/Berlin`, `UTC`. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
