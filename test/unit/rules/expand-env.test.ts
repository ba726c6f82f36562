import { describe, expect, it } from 'vitest';
import { expandEnv } from '../../../core/config/expand-env.ts';

const env = { HOME: '/home/x', A_1: 'one', EMPTY: '', 'odd name': 'odd', MONEY: '$HOME' };

describe('expandEnv', () => {
  it.each([
    ['plain', 'plain'],
    ['$HOME/y', '/home/x/y'],
    [`\${HOME}y`, '/home/xy'],
    ['$A_1-$A_1', 'one-one'],
    ['[$EMPTY]', '[]'],
    [`\${odd name}`, 'odd'],
    ['$MONEY', '$HOME'],
    ['a$$b', 'a$b'],
    ['$$HOME', '$HOME'],
    ['ends with $', 'ends with $'],
    ['$ x $. $/', '$ x $. $/'],
    ['', ''],
  ])('%s', (text, expanded) => {
    expect(expandEnv(text, env)).toBe(expanded);
  });

  it.each([
    ['$NOPE', /the environment variable NOPE is not set/],
    [`x\${NOPE}`, /the environment variable NOPE is not set/],
    ['$1', /the environment variable 1 is not set/],
    [`\${}`, /does not enclose a name/],
    [`\${HOME`, /does not enclose a name/],
  ])('refuses %s', (text, what) => {
    expect(() => expandEnv(text, env)).toThrow(what);
  });

  it('does not name what may be a piece of a password', () => {
    expect(() => expandEnv('abc$ecret', env, { secret: true })).toThrow(/^a variable in it is not set$/);
    expect(() => expandEnv('$TOKEN', env, { secret: true })).toThrow(/environment variable TOKEN/);
  });
});
