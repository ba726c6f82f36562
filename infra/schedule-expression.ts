import { configurationError, type TranshipError } from '../core/model/errors.ts';
import { quote } from '../core/model/quote.ts';
import type { RunSchedule } from './run-schedule.ts';

/** When a schedule starts runs. */
export type Expression =
  | { kind: 'rate'; everyMs: number }
  /** Minute, hour, day of the month, month, day of the week, year. */
  | { kind: 'cron'; fields: string[] }
  /** `at(...)`: one start. */
  | { kind: 'once' };

const unitMs: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

/** `L`, `6L`, `FRIL`, `6#2`, `FRI#2`. */
const lastOrNth = new RegExp(`^(?:\\?|L|(?:[1-7]|${weekdays.join('|')})(?:L|#[1-5]))$`);

interface CronField {
  name: string;
  least: number;
  most: number;
  /** Stand for the values from `least` on. */
  words?: string[];
  /** What else it may be. */
  other?: RegExp;
}

const cronFields: CronField[] = [
  { name: 'minutes', least: 0, most: 59 },
  { name: 'hours', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31, other: /^(?:\?|L(?:-\d{1,2})?W?|(?:[1-9]|[12]\d|3[01])W)$/ },
  { name: 'month', least: 1, most: 12, words: months },
  { name: 'day of the week', least: 1, most: 7, words: weekdays, other: lastOrNth },
  { name: 'year', least: 1970, most: 2199 },
];

/**
 * Reads a schedule's expression as EventBridge Scheduler does. AWS refuses a wrong one only when it is deployed, and a
 * first deployment is then rolled back. Scheduler takes `rate(1 hours)` and `rate(6 hour)` too, where the older rules of
 * EventBridge do not.
 *
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 * @throws TranshipError `config-invalid`
 */
export function readExpression({ name, expression }: RunSchedule): Expression {
  const fault = (what: string, mend: string) =>
    configurationError(`schedule ${name}: ${quote(expression)} ${what}`, { mend });
  const rate = /^rate\((\d+) +(minute|hour|day)s?\)$/.exec(expression);
  if (rate) {
    const everyMs = Number(rate[1]) * (unitMs[rate[2] ?? ''] ?? 0);
    if (everyMs === 0) throw fault('never starts anything', 'write it as rate(1 hour)');
    return { kind: 'rate', everyMs };
  }
  const [, at] = /^at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$/.exec(expression) ?? [];
  if (at !== undefined && isDate(at)) return { kind: 'once' };
  const [, inside] = /^cron\((.*)\)$/.exec(expression) ?? [];
  const fields = (inside ?? expression).trim().split(/\s+/);
  if (fields.length === 5 && (inside !== undefined || fields.every(isCronLike))) throw fault(...fiveFields(fields));
  if (inside === undefined) {
    throw fault('is not a schedule', 'write it as rate(1 hour), cron(0 3 * * ? *) or at(2030-01-31T03:00:00)');
  }
  checkCron(fields, fault);
  return { kind: 'cron', fields };
}

function checkCron(fields: string[], fault: (what: string, mend: string) => TranshipError): void {
  const order = 'the fields are minutes, hours, day of the month, month, day of the week and year: cron(0 3 * * ? *)';
  if (fields.length !== cronFields.length) throw fault('does not have six fields', order);
  for (const [at, field] of cronFields.entries()) {
    const text = fields[at] ?? '';
    if (!isField(text, field)) throw fault(`has ${quote(text)} as its ${field.name}`, order);
  }
  if (fields.filter((field) => field === '?').length !== 1) {
    throw fault(
      'names the day of the month and the day of the week',
      'AWS takes one of the two, and ? for the other: cron(0 3 * * ? *), cron(0 3 ? * MON-FRI *)',
    );
  }
}

function isField(text: string, field: CronField): boolean {
  const upper = text.toUpperCase();
  return field.other?.test(upper) === true || upper.split(',').every((part) => isPart(part, field));
}

/** `*`, `5`, `1-5`, `FRI-MON`, each also with `/2`. */
function isPart(part: string, field: CronField): boolean {
  const [range = '', step, ...more] = part.split('/');
  if (more.length > 0) return false;
  if (step !== undefined && !(/^\d+$/.test(step) && Number(step) >= 1 && Number(step) <= field.most)) return false;
  const ends = range.split('-');
  return range === '*' || (ends.length <= 2 && ends.every((end) => isValue(end, field)));
}

function isValue(text: string, { least, most, words = [] }: CronField): boolean {
  return words.includes(text) || (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= most);
}

/** 31 February is a date to JavaScript: 3 March. */
function isDate(text: string): boolean {
  const date = new Date(`${text}Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

const isCronLike = (field: string) => /^[\d*,/a-z-]+$/i.test(field);

/** Cron's own five fields, as rules for one machine have them, and how AWS writes them. */
function fiveFields([minute, hour, day = '', month, weekday = '']: string[]): [what: string, mend: string] {
  const what = 'has the five fields of cron';
  const named = weekday.replace(/(?<!\/\d*)\d+/g, (number) => weekdays[Number(number) % 7] ?? number);
  const days =
    weekday === '*' || weekday === '?'
      ? { day, named: '?' }
      : day === '*' || day === '?'
        ? { day: '?', named }
        : undefined;
  if (days === undefined) {
    return [what, 'AWS takes a day of the month or days of the week, not both: make two schedules of it'];
  }
  return [what, `AWS has six, the last one is the year: cron(${minute} ${hour} ${days.day} ${month} ${days.named} *)`];
}
