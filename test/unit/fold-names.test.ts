import { describe, expect, it } from 'vitest';
import { foldNames } from '../../infra/fold-names.ts';

const list = (count: number, name: (n: number) => string) => Array.from({ length: count }, (_, n) => name(n));
const cost = (names: string[], overhead: number) => names.reduce((sum, name) => sum + name.length + overhead, 0);
const covers = (patterns: string[], name: string) =>
  patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name));

describe('names that are to fit into a limit', () => {
  it('stay exact where they fit, each once', () => {
    expect(foldNames(['b', 'a/c', 'b'], { budget: 24, overhead: 10 })).toEqual(['a/c', 'b']);
  });

  it('are folded where it saves most, as deep as it goes, and no further than needed', () => {
    const many = list(50, (n) => `team/big/app-${n}`);
    const few = ['team/small/one', 'team/small/two', 'other/app'];
    const folded = foldNames([...many, ...few], { budget: 200, overhead: 10 });
    expect(folded).toEqual(['other/app', 'team/big/*', 'team/small/one', 'team/small/two']);
    expect(foldNames([...many, ...few], { budget: 60, overhead: 10 })).toEqual(['other/app', 'team/*']);
  });

  it.each([
    ['deep', (n: number) => `a/b/c${n % 9}/d${n}`],
    ['long', (n: number) => `team-${n % 30}/${'x'.repeat(200)}${n}`],
    ['of one segment', (n: number) => `application-${n}`],
    ['mixed', (n: number) => (n % 2 ? `app-${n}` : `team-${n % 100}/app-${n}`)],
  ])('always fit, and name all: %s', (_what, name) => {
    const names = list(2000, name);
    for (const budget of [5000, 50_000, 500_000]) {
      const folded = foldNames(names, { budget, overhead: 60 });
      expect(cost(folded, 60)).toBeLessThanOrEqual(budget);
      expect(names.filter((one) => !covers(folded, one))).toEqual([]);
    }
  });
});
