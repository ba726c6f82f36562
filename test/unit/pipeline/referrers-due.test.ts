import { expect, it } from 'vitest';
import { isReferrersDue } from '../../../core/pipeline/referrers-due.ts';

const minute = 60_000;
const hour = 60 * minute;

it.each<[string, { age: number; seenAge: number; recheckMs?: number }, boolean]>([
  ['just copied', { age: 5 * minute, seenAge: 5 * minute }, false],
  ['ten minutes after the copy', { age: 10 * minute, seenAge: 10 * minute }, true],
  ['asked after ten minutes, nine ago', { age: 19 * minute, seenAge: 9 * minute }, false],
  ['asked after ten minutes, ten ago', { age: 20 * minute, seenAge: 10 * minute }, true],
  ['asked after an hour, half an hour ago', { age: 90 * minute, seenAge: 30 * minute }, false],
  ['asked after an hour, an hour ago', { age: 2 * hour, seenAge: hour }, true],
  ['asked after a week, 23 hours ago', { age: 8 * 24 * hour, seenAge: 23 * hour }, false],
  ['asked after a week, a day ago', { age: 8 * 24 * hour, seenAge: 24 * hour }, true],
  ['a shorter time of the rule, not over', { age: 8 * 24 * hour, seenAge: 59 * minute, recheckMs: hour }, false],
  ['a shorter time of the rule, over', { age: 8 * 24 * hour, seenAge: hour, recheckMs: hour }, true],
  ['a shorter time than the first one', { age: 2 * minute, seenAge: 2 * minute, recheckMs: minute }, true],
  ['a longer time of the rule', { age: 8 * 24 * hour, seenAge: 25 * hour, recheckMs: 7 * 24 * hour }, false],
  ['seen in the future: the clock was set back', { age: 0, seenAge: -minute }, true],
])('a source is asked again what refers to an image: %s', (_, { age, seenAge, recheckMs }, isDue) => {
  const now = 100 * 24 * hour;
  expect(isReferrersDue({ at: now - age, seen: { at: now - seenAge } }, { now, recheckMs })).toBe(isDue);
});
