import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TagSelection } from '../../../core/model/rule.ts';
import { parsePattern } from '../../../core/rules/pattern.ts';
import { matchesTag, selectTags } from '../../../core/rules/select.ts';
import { compareNaturally, orderByAge, parseVersionTag } from '../../../core/rules/version.ts';

function filter(options: { match?: string[]; except?: string[]; semver?: string; newest?: number }): TagSelection {
  const { match = [], except = [], ...rest } = options;
  return { kind: 'filter', match: match.map(parsePattern), except: except.map(parsePattern), ...rest };
}

const tags = [
  '1.24',
  '1.24.1',
  '1.25',
  '1.25-alpine',
  '1.25.3',
  '1.25.3-alpine',
  '1.26-rc1',
  '1.26-rc1-alpine',
  'latest',
  'v1.9',
];

describe('selectTags', () => {
  it('gives all in byte order, each once, without what is no tag', () => {
    expect(selectTags({ kind: 'all' }, ['b', 'a', 'B', 'b', '', 'sha256:abc', '../x', '10', '9'])).toEqual([
      '10',
      '9',
      'B',
      'a',
      'b',
    ]);
  });

  it('gives listed tags as they are, there or not', () => {
    expect(selectTags({ kind: 'tags', tags: ['z', 'a'] }, ['a'])).toEqual(['z', 'a']);
    expect(selectTags({ kind: 'digest', digest: `sha256:${'a'.repeat(64)}` }, tags)).toEqual([]);
  });

  it.each<[Parameters<typeof filter>[0], string[]]>([
    [{ match: ['/alpine/'] }, ['1.25-alpine', '1.25.3-alpine', '1.26-rc1-alpine']],
    [{ match: ['/5/'] }, ['1.25', '1.25-alpine', '1.25.3', '1.25.3-alpine']],
    [{ match: ['/^$/'] }, []],
    [{ match: ['//'] }, tags],
    [{ match: ['1.25'] }, ['1.25']],
    [{ match: ['1.25*'] }, ['1.25', '1.25-alpine', '1.25.3', '1.25.3-alpine']],
    [{ match: ['1?25'] }, ['1.25']],
    [{ match: ['1.2[45]'] }, ['1.24', '1.25']],
    [{ match: ['1.2[!45]*'] }, ['1.26-rc1', '1.26-rc1-alpine']],
    [{ match: ['latest', 'v*'] }, ['latest', 'v1.9']],
    [{ except: ['*-*', '/^v/'] }, ['1.24', '1.24.1', '1.25', '1.25.3', 'latest']],
    [{ semver: '>=1.25' }, ['1.25', '1.25.3']],
    [{ semver: '1.x' }, ['1.24', '1.24.1', '1.25', '1.25.3', 'v1.9']],
    [{ semver: '>= 1.24, <1.25' }, ['1.24', '1.24.1']],
    [{ semver: '>=1.26-0' }, ['1.26-rc1', '1.26-rc1-alpine']],
    [{ semver: '1.24.1 - 1.25' }, ['1.24.1', '1.25', '1.25.3']],
    [{ semver: '>=1.26.0-0' }, ['1.26-rc1', '1.26-rc1-alpine']],
    [{ semver: '>=1.25', match: ['*-alpine'] }, ['1.25-alpine', '1.25.3-alpine', '1.26-rc1-alpine']],
    [{ semver: '>=1.25', match: ['*-alpine'], except: ['*-rc*'] }, ['1.25-alpine', '1.25.3-alpine']],
    [{ semver: '>=1.25', match: ['1.*'] }, ['1.25', '1.25.3']],
    [{ newest: 2, except: ['*-*'] }, ['1.25', '1.25.3']],
    [{ newest: 1, semver: '~1.24' }, ['1.24.1']],
    [{ newest: 100 }, tags],
    [{ newest: 1, match: ['latest', 'nope'] }, ['latest']],
  ])('%j', (options, expected) => {
    expect(selectTags(filter(options), tags)).toEqual(expected);
  });

  it('counts versions, not characters', () => {
    expect(selectTags(filter({ newest: 2 }), ['1.9.0', '1.10.0', '1.2.0', 'v1.11'])).toEqual(['1.10.0', 'v1.11']);
    expect(selectTags(filter({ newest: 2 }), ['r8', 'r9', 'r10'])).toEqual(['r10', 'r9']);
    expect(selectTags(filter({ newest: 1 }), ['2.0.0-rc.2', '2.0.0-rc.10', '2.0.0-beta'])).toEqual(['2.0.0-rc.10']);
    expect(selectTags(filter({ newest: 1 }), ['2.0.0-rc.2', '2.0.0'])).toEqual(['2.0.0']);
  });

  it('depends on the set of names, not their order, and agrees with matchesTag', () => {
    const name = fc.stringMatching(/^v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(-(rc|alpine)[0-9]?)?$/);
    const selections = [
      filter({ match: ['*-alpine'], semver: '>=1.2' }),
      filter({ except: ['/rc/'] }),
      filter({ semver: '^1 || >3' }),
      filter({ newest: 3 }),
      { kind: 'all' } as const,
    ];
    fc.assert(
      fc.property(fc.array(name), fc.constantFrom(...selections), (names, selection) => {
        const taken = selectTags(selection, names);
        expect(selectTags(selection, [...names].reverse())).toEqual(taken);
        expect([...taken].sort()).toEqual(taken);
        for (const tag of taken) expect(matchesTag(selection, tag)).toBe(true);
        if (selection.kind === 'filter' && selection.newest !== undefined) {
          expect(taken).toHaveLength(Math.min(selection.newest, new Set(names).size));
        } else {
          expect(taken).toEqual([...new Set(names)].filter((tag) => matchesTag(selection, tag)).sort());
        }
      }),
    );
  });
});

describe('matchesTag', () => {
  it('answers for one tag', () => {
    expect(matchesTag({ kind: 'all' }, 'x')).toBe(true);
    expect(matchesTag({ kind: 'all' }, '../x')).toBe(false);
    expect(matchesTag({ kind: 'tags', tags: ['a'] }, 'a')).toBe(true);
    expect(matchesTag({ kind: 'tags', tags: ['a'] }, 'b')).toBe(false);
    const beside = `sha256-${'a'.repeat(64)}`;
    expect(
      ['', '.sig', '.att', '.sbom', '.imgpkg', '.SIG', '.sig.x'].filter((suffix) =>
        matchesTag({ kind: 'all' }, beside + suffix),
      ),
    ).toEqual(['.imgpkg', '.SIG', '.sig.x']);
    expect(matchesTag({ kind: 'digest', digest: `sha256:${'a'.repeat(64)}` }, 'a')).toBe(false);
    expect(matchesTag(filter({ newest: 1, match: ['v*'] }), 'v0')).toBe(true);
    expect(matchesTag(filter({ newest: 1, match: ['v*'] }), 'x')).toBe(false);
  });
});

describe('patterns', () => {
  it('takes only * ? and [ ] as special in a glob', () => {
    const fits = (pattern: string, tag: string) => matchesTag(filter({ match: [pattern] }), tag);
    expect(fits('a.c*', 'a.c')).toBe(true);
    expect(fits('a.c*', 'abc')).toBe(false);
    expect(fits('[^a]*', 'b')).toBe(false);
    expect(fits('[^a]*', 'a')).toBe(true);
    expect(fits('*', 'anything')).toBe(true);
  });

  it('takes linear time for expressions that make others hang', () => {
    const evil = filter({ match: ['/^(a+)+$/', '/(a|a)*b/', '*a*a*a*a*a*a*b'] });
    expect(matchesTag(evil, `${'a'.repeat(127)}!`)).toBe(false);
    expect(matchesTag(evil, 'a'.repeat(127))).toBe(true);
    expect(matchesTag(filter({ match: ['/(a|a)*b/', '*a*a*a*a*a*a*b'] }), 'a'.repeat(127))).toBe(false);
  });

  it.each(['/(/', '/(?=x)/', '/\\1/', '[a', '/[z-a]/'])('refuses %s', (text) => {
    expect(() => parsePattern(text)).toThrow(/cannot be used/);
  });
});

describe('versions', () => {
  it.each([
    ['1', '1.0.0'],
    ['v1.2', '1.2.0'],
    ['V1.2.3', '1.2.3'],
    ['1.25-alpine', '1.25.0-alpine'],
    ['v1.2.3-alpine', '1.2.3-alpine'],
    ['3.13.0rc2', '3.13.0-rc2'],
    ['2024.01.05', '2024.1.5'],
    ['1.0.0_5', '1.0.0'],
    ['1.28.3-k3s1_x', '1.28.3-k3s1-x'],
    ['1.2.3.4', undefined],
    ['latest', undefined],
    ['7b3', undefined],
    ['7f3a2b1', undefined],
    ['1.2.', undefined],
    ['1.', undefined],
    ['1.2-', undefined],
    [`1.${'9'.repeat(40)}`, undefined],
  ])('%s', (tag, version) => {
    expect(parseVersionTag(tag)?.version.version).toBe(version);
  });

  it('orders from oldest to newest', () => {
    expect(orderByAge(['latest', '2', '1.10', '1.9', 'edge', '1.10-rc1', 'v1.10.0'])).toEqual([
      'edge',
      'latest',
      '1.9',
      '1.10-rc1',
      '1.10',
      'v1.10.0',
      '2',
    ]);
  });

  it('has a natural order that is an order', () => {
    const text = fc.stringMatching(/^[a-c0-2]{0,6}$/);
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        expect(Math.sign(compareNaturally(a, b))).toBe(-Math.sign(compareNaturally(b, a)) || 0);
        expect(compareNaturally(a, b) === 0).toBe(a === b);
        if (compareNaturally(a, b) <= 0 && compareNaturally(b, c) <= 0) {
          expect(compareNaturally(a, c)).toBeLessThanOrEqual(0);
        }
      }),
    );
    expect(['r10', 'r9', 'r09', 'r'].sort(compareNaturally)).toEqual(['r', 'r09', 'r9', 'r10']);
  });
});
