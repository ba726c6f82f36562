import { describe, expect, it } from 'vitest';
import { explainSelection } from '../../../core/rules/explain.ts';
import { parsePattern } from '../../../core/rules/pattern.ts';
import { selectTags } from '../../../core/rules/select.ts';

const tags = ['latest', '3.18', '3.19.0', '3.20.0_rc1', '3.20.0', '3.19.1', 'null?', 'edge'];
const filter = (part: { match?: string[]; except?: string[]; semver?: string; newest?: number }) => ({
  kind: 'filter' as const,
  match: (part.match ?? []).map(parsePattern),
  except: (part.except ?? []).map(parsePattern),
  semver: part.semver,
  newest: part.newest,
});

describe('an explained selection', () => {
  it('gives every tag its place, newest first, and the condition that leaves it out', () => {
    const select = filter({ match: ['3.*'], except: ['*_rc*'], semver: '>=3.19', newest: 2 });
    expect(explainSelection(select, tags)).toEqual({
      taken: ['3.20.0', '3.19.1'],
      leftOut: [
        { tag: '3.20.0_rc1', reason: { kind: 'excepted', pattern: { kind: 'glob', text: '*_rc*' } } },
        { tag: '3.19.0', reason: { kind: 'older', newest: 2 } },
        { tag: '3.18', reason: { kind: 'outside-range', range: '>=3.19' } },
        { tag: 'latest', reason: { kind: 'matches-nothing' } },
        { tag: 'edge', reason: { kind: 'matches-nothing' } },
      ],
      missing: [],
    });
  });

  it('takes what selectTags takes', () => {
    for (const select of [
      { kind: 'all' as const },
      { kind: 'tags' as const, tags: ['edge', 'nightly', '3.18'] },
      { kind: 'digest' as const, digest: `sha256:${'0'.repeat(64)}` },
      filter({ newest: 3 }),
      filter({ match: ['/^3/'], newest: 100 }),
    ]) {
      const { taken, leftOut, missing } = explainSelection(select, tags);
      expect([...taken, ...missing].sort()).toEqual(selectTags(select, tags).sort());
      expect(taken.length + leftOut.length).toBe(tags.length - 1);
    }
  });

  it('tells of listed tags that are not there', () => {
    const { missing, leftOut } = explainSelection({ kind: 'tags', tags: ['edge', 'nightly'] }, ['edge', 'latest']);
    expect({ missing, leftOut }).toEqual({
      missing: ['nightly'],
      leftOut: [{ tag: 'latest', reason: { kind: 'not-listed' } }],
    });
  });
});
