import { describe, expect, it } from 'vitest';
import { longestGap } from '../../infra/longest-gap.ts';

const hours = (expression: string) => (longestGap({ name: 'a', expression }) ?? Number.NaN) / 3_600_000;
const fault = (expression: string): { message: string; mend?: string } => {
  try {
    longestGap({ name: 'a', expression });
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${expression} is taken`);
};

describe("a schedule's expression", () => {
  it.each([
    ['rate(1 hour)', 1],
    // Scheduler takes both forms of the unit for any number.
    ['rate(1 hours)', 1],
    ['rate(6 hour)', 6],
    ['rate(7 days)', 7 * 24],
    ['cron(0 3 * * ? *)', 24],
    ['cron(0/5 8-17 ? * MON-FRI *)', 62 + 1 / 12],
    ['cron(0 8-8 ? * 2,3,4,5,6,7 *)', 48],
    ['cron(0 3 ? * 2/2 *)', 72],
    ['cron(0 3 L * ? *)', 31 * 24],
    ['cron(0 3 ? * FRI#2 *)', 35 * 24],
    ['cron(0 3 3W * ? *)', 32 * 24],
    ['cron(0 3 ? jan mon 2026-2030)', 343 * 24],
  ])('is read: %s', (expression, gap) => expect(hours(expression)).toBeCloseTo(gap));

  it.each(['at(2030-01-01T00:00:00)', 'cron(0 22-2 * * ? *)', 'cron(0 3 ? * FRI-MON *)', 'cron(0 3 L-3 * ? *)'])(
    'is taken where its gaps are not known: %s',
    (expression) => expect(hours(expression)).toBeNaN(),
  );

  it.each([
    ...['rate(0 hours)', 'rate(6h)', 'rate(30 seconds)', 'rate()', 'rate(-10 minutes)', 'rate( 10 minutes )', ''],
    ...['hourly', ' rate(10 minutes)', 'at(2021-12-31)', 'at(2021-12-31T23:59:59Z)', 'at(2030-02-31T00:00:00)'],
    ...['cron()', 'cron(0 3 * * * *)', 'cron(0 3 ? * ? *)', 'cron(0 3 1 * MON *)', 'cron(0 25 * * ? *)'],
    ...[
      'cron(71 8 1 * ? *)',
      'cron(0 3 ? * NOT *)',
      'cron(0 3 0 * ? *)',
      'cron(0 3 32W * ? *)',
      'cron(*/60 * * * ? *)',
    ],
    ...[
      'cron(0 3 1-2-3 * ? *)',
      'cron(0 3 , * ? *)',
      'cron(0 3 ? * 2#6 *)',
      'cron(0 3 ? * XYZL *)',
      'cron(0 3 0W * ? *)',
      'cron(? 3 * * * *)',
      'cron(0 3 * * ? 26)',
    ],
    // A day that no month has, and a year that is over.
    ...['cron(0 3 31 2 ? *)', 'cron(0 3 * * ? 2020)'],
  ])('is refused, and a mend told: %s', (expression) => {
    const { message, mend } = fault(expression);
    expect(message).toContain(`schedule a: ${JSON.stringify(expression)} `);
    expect(mend).toMatch(/rate\(|cron\(|month/);
  });

  it.each([
    ['0 3 * * *', 'cron(0 3 * * ? *)'],
    ['cron(0 3 * * *)', 'cron(0 3 * * ? *)'],
    ['*/30 * * * 1-5', 'cron(*/30 * ? * MON-FRI *)'],
    ['0 3 * * 0,7', 'cron(0 3 ? * SUN,SUN *)'],
    ['0 3 * * */2', 'cron(0 3 ? * */2 *)'],
  ])('of five fields is told as AWS writes it: %s', (expression, written) => {
    expect(fault(expression).mend).toContain(written);
    expect(hours(written)).toBeGreaterThan(0);
  });

  it('of five fields with both days is two of AWS', () => {
    expect(fault('0 3 1 * 5').mend).toContain('make two schedules');
  });
});
