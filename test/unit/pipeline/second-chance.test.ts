import { expect, it } from 'vitest';
import type { Failure } from '../../../core/model/errors.ts';
import { defaultChances, secondChance } from '../../../core/pipeline/second-chance.ts';

const MINUTE = 60_000;
const slow: Failure = { class: 'transient', code: 'timeout', message: 'no answer' };

it('comes after a quarter of an hour, then ever later, five times within a day', () => {
  const pauses = [0, 1, 2, 3, 4].map((redriven) => {
    const chance = secondChance({ failure: slow, redriven, at: 0 }, defaultChances, 0);
    return chance.kind === 'later' ? chance.at / MINUTE : chance.kind;
  });
  expect(pauses).toEqual([15, 60, 240, 360, 360]);
  expect(secondChance({ failure: slow, redriven: 5, at: 0 }, defaultChances, 0)).toEqual({ kind: 'none' });
});

it('is due when its pause is over', () => {
  const letter = { failure: slow, at: 1000 };
  expect(secondChance(letter, defaultChances, 1000 + 15 * MINUTE - 1)).toMatchObject({ kind: 'later' });
  expect(secondChance(letter, defaultChances, 1000 + 15 * MINUTE)).toEqual({ kind: 'due' });
});

it('does not come before the registry wants requests again', () => {
  const failure: Failure = { class: 'throttled', code: 'throttled', message: 'quota', retryAt: 90 * MINUTE };
  expect(secondChance({ failure, at: 0 }, defaultChances, 60 * MINUTE)).toEqual({ kind: 'later', at: 90 * MINUTE });
});

it.each(['permanent', 'configuration'] as const)('does not come for what is %s', (errorClass) => {
  const failure = { ...slow, class: errorClass };
  expect(secondChance({ failure, at: 0 }, defaultChances, Number.MAX_SAFE_INTEGER)).toEqual({ kind: 'none' });
});
