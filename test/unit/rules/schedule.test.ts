import { describe, expect, it } from 'vitest';
import { loadRules } from '../../../core/rules/load-rules.ts';

const load = (head: string, own = '') =>
  loadRules(
    `version: 1\n${head}\nrules:\n  - {name: a, from: a, to: r.io/a${own}}\n  - {name: b, from: b, to: r.io/b}\n`,
    {
      file: 'tranship.yaml',
      env: {},
    },
  );

describe('schedules of a rules file', () => {
  it('are the rule’s own, else that of the file', () => {
    const nightly = { cron: '0 3 * * *', timeZone: 'Europe/Berlin', jitterMs: 300_000 };
    const head = 'schedule: {cron: "0 3 * * *", timeZone: Europe/Berlin, jitter: 5m}';
    expect(load(head, ', schedule: "*/5 * * * *"').schedules).toEqual({
      a: { cron: '*/5 * * * *', jitterMs: 0 },
      b: nightly,
    });
    expect(load('', ', schedule: "*/10 * * * * *"').schedules).toEqual({ a: { cron: '*/10 * * * * *', jitterMs: 0 } });
    expect(load('').schedules).toBeUndefined();
  });

  it.each([
    ['schedule: "0 25 * * *"', /^tranship.yaml:2:11: "0 25 \* \* \*" is not a schedule/],
    ['schedule: "never"', /2:11: "never" is not a schedule: it has 1 part, and not five or six/],
    ['schedule: "0 3 * * * * 2027"', /is not a schedule: it has 7 parts, and not five or six/],
    ['schedule: "@reboot"', /"@reboot" is not a schedule: @reboot is not supported/],
    ['schedule: {cron: "0 3 * * *", timeZone: Europe/Bärlin}', /2:18: there is no time zone "Europe\/Bärlin"/],
    ['schedule: {cron: "0 3 * * *", jitter: soon}', /2:18: "soon" is not a time/],
    ['schedule: {cron: "0 3 * * *", timezone: UTC}', /2:31: unknown key "timezone" — did you mean timeZone\?/],
    ['schedule: "0 0 31 2 *"', /2:11: "0 0 31 2 \*" never starts anything — check that the month has this day/],
    ['schedule: {cron: "0 0 0 30 2 *", timeZone: UTC}', /2:18: "0 0 0 30 2 \*" never starts anything/],
    ['schedule: "0 0 31 4,6,9,11 *"', /never starts anything/],
    ['schedule: {jitter: 5m}', /schedule has no "cron"/],
    ['shedule: "0 3 * * *"', /2:1: unknown key "shedule" — did you mean schedule\?/],
  ])('%s is refused with its place', (head, message) => {
    expect(() => load(head)).toThrow(message);
  });

  it.each(['0 0 29 2 *', '0 0 L 2 *', '0 0 31 2 MON'])('that start seldom are taken: %s', (cron) => {
    expect(load(`schedule: "${cron}"`)).toMatchObject({ schedules: { a: { cron }, b: { cron } }, warnings: [] });
  });

  it('whose jitter is longer than the time between two starts are told, once', () => {
    expect(load('schedule: {cron: "*/30 * * * *", jitter: 2h}').warnings).toEqual([
      'tranship.yaml:2:18: the jitter is longer than the 1800 s between two starts: some starts will be left out',
    ]);
    expect(load('schedule: {cron: "0 8,9 * * 1", jitter: 90m}').warnings).toHaveLength(1);
    expect(load('schedule: {cron: "*/30 * * * *", jitter: 30m}').warnings).toEqual([]);
    expect(load('schedule: {cron: "0 0 1 1 *", jitter: 7d}').warnings).toEqual([]);
  });
});
