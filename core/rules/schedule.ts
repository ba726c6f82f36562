import { CronPattern } from 'croner';
import { parseDuration } from '../config/duration.ts';
import { configurationError, type TranshipError } from '../model/errors.ts';
import type { Schedule } from '../model/rule.ts';

/** A schedule as it is written: cron's five fields, or six with seconds in front. */
export interface ScheduleText {
  cron: string;
  timeZone?: string;
  jitter?: string;
}

/**
 * Checks a schedule of a user's. Without a time zone, the machine's own is meant.
 * @throws TranshipError `config-invalid`
 */
export function parseSchedule({ cron, timeZone, jitter = '0' }: ScheduleText): Schedule {
  try {
    new CronPattern(cron, undefined, { mode: '5-or-6-parts' });
  } catch (error) {
    const why = (error as Error).message.replace(/^CronPattern: /, '');
    throw fault(`${JSON.stringify(cron)} is not a schedule: ${why}`, 'write it as cron does: "0 3 * * *" is 3 a.m.');
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    throw fault(`there is no time zone ${JSON.stringify(timeZone)}`, 'write it as Europe/Berlin or UTC');
  }
  const jitterMs = parseDuration(jitter);
  if (jitterMs === undefined) throw fault(`${JSON.stringify(jitter)} is not a time`, 'write it as 90s, 5m or 1h');
  return { cron, timeZone, jitterMs };
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function fault(what: string, mend: string): TranshipError {
  return configurationError(what, { mend });
}
