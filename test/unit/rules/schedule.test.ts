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
    ['schedule: "never"', /2:11: "never" is not a schedule/],
    ['schedule: {cron: "0 3 * * *", timeZone: Europe/Bärlin}', /2:18: there is no time zone "Europe\/Bärlin"/],
    ['schedule: {cron: "0 3 * * *", jitter: soon}', /2:18: "soon" is not a time/],
    ['schedule: {cron: "0 3 * * *", timezone: UTC}', /2:31: unknown key "timezone" — did you mean timeZone\?/],
    ['schedule: {jitter: 5m}', /schedule has no "cron"/],
    ['shedule: "0 3 * * *"', /2:1: unknown key "shedule" — did you mean schedule\?/],
  ])('%s is refused with its place', (head, message) => {
    expect(() => load(head)).toThrow(message);
  });
});
