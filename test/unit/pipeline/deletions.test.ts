import { describe, expect, it } from 'vitest';
import type { DeletionPolicy, Rule, TagSelection } from '../../../core/model/rule.ts';
import { type DeletionState, decideDeletions } from '../../../core/pipeline/deletions.ts';
import type { SyncRecord } from '../../../core/pipeline/ports/sync-records.ts';

const from = { registry: 's.example', repository: 'app' };
const to = { registry: 'd.example', repository: 'mirror/app' };
const platforms = { platforms: [], os: [], arch: [] };
const day = 24 * 3_600_000;
const now = 1000 * day;
const all: TagSelection = { kind: 'all' };
const mirror: DeletionPolicy = { tags: 'mirror', max: { percent: 10 } };
const unselected: DeletionPolicy = { tags: 'unselected', max: { percent: 10 } };
const open = { max: { percent: 100 } };

function filter(over: Partial<Extract<TagSelection, { kind: 'filter' }>>): TagSelection {
  return { kind: 'filter', match: [], except: [], ...over };
}

function rule(select: TagSelection, over: Partial<Rule> = {}): Rule {
  return { id: 'r', from, select, to: [to], platforms, ...over };
}

function record(tag: string, over: Partial<SyncRecord> = {}): SyncRecord {
  const digest = `sha256:${'a'.repeat(64)}`;
  return {
    destination: { ...to, tag },
    source: { ...from, tag },
    sourceDigest: digest,
    destinationDigest: digest,
    platforms: '',
    at: now - 100 * day,
    how: 'copied',
    ...over,
  };
}

const tags = (count: number) => Array.from({ length: count }, (_, at) => `1.${at}`);
const without = (list: string[], ...gone: string[]) => list.filter((tag) => !gone.includes(tag));

interface Case {
  select?: TagSelection;
  policy?: DeletionPolicy;
  source?: string[];
  /** Default: all that was brought. */
  present?: string[];
  records: SyncRecord[];
  rules?: Rule[];
  destination?: DeletionState['destination'];
}

/** `tag (reason)` of each, or the code of the failure. */
function decide({ select = all, policy = mirror, source = [], records, rules = [], ...over }: Case): string {
  const destination = over.destination ?? to;
  const present = new Set(over.present ?? records.map((one) => one.destination.tag ?? ''));
  const own = rule(select, { to: [destination] });
  const state = { sourceTags: source, destination, present, records, rules, now };
  try {
    return decideDeletions(own, policy, state)
      .map(({ record: { destination: at }, reason }) => `${at.tag} (${reason})`)
      .join(', ');
  } catch (error) {
    return String(Object(error).code);
  }
}

const twenty = tags(20).map((tag) => record(tag));
const other = { ...from, registry: 'o.example' };

describe('what a rule deletes', () => {
  it.each<[string, Case, string]>([
    ['a tag that is gone at the source', { source: without(tags(20), '1.3'), records: twenty }, '1.3 (gone)'],
    ['nothing while the source has all', { source: tags(20), records: twenty }, ''],
    ['not what is gone at the destination too', { source: tags(19), present: tags(19), records: twenty }, ''],
    [
      'nothing where the source lists no tags',
      { records: twenty, policy: { ...mirror, ...open } },
      'too-many-deletions',
    ],
    ['the only tag never', { records: [record('1.0')], policy: { ...mirror, ...open } }, 'too-many-deletions'],
    ['one of few', { source: ['1.0'], records: tags(2).map((tag) => record(tag)) }, '1.1 (gone)'],
    ['not two of twenty-one over the share', { source: tags(17), records: twenty }, 'too-many-deletions'],
    ['as many as the share is', { source: tags(18), records: twenty }, '1.18 (gone), 1.19 (gone)'],
    [
      'as many as the number is',
      { source: tags(17), records: twenty, policy: { ...mirror, max: { count: 3 } } },
      '1.17 (gone), 1.18 (gone), 1.19 (gone)',
    ],
    [
      'not more than the number',
      { source: tags(16), records: twenty, policy: { ...mirror, max: { count: 3 } } },
      'too-many-deletions',
    ],
    [
      'nothing where the number is 0',
      { source: tags(19), records: twenty, policy: { ...mirror, max: { count: 0 } } },
      'too-many-deletions',
    ],
    [
      'not more within a day, one after the other',
      {
        source: tags(17),
        present: tags(18),
        records: [
          ...twenty.slice(0, 18),
          ...['1.18', '1.19'].map((tag) => record(tag, { how: 'deleted', at: now - 1 })),
        ],
      },
      'too-many-deletions',
    ],
    [
      'more on the next day',
      {
        source: tags(17),
        present: tags(18),
        records: [
          ...twenty.slice(0, 18),
          ...['1.18', '1.19'].map((tag) => record(tag, { how: 'deleted', at: now - day })),
        ],
      },
      '1.17 (gone)',
    ],
    // What it did not bring.
    ['not what was there before', { source: ['1.0'], records: [record('1.0'), record('1.1', { how: 'found' })] }, ''],
    [
      'not what is known to have changed',
      { source: ['1.0'], records: [record('1.0'), record('1.1', { how: 'gone' })] },
      '',
    ],
    [
      'not what came from another source',
      { source: ['1.0'], records: [record('1.0'), record('1.1', { source: { ...other, tag: '1.1' } })] },
      '',
    ],
    ['not what has no record', { source: ['1.0'], records: [record('1.0')], present: ['1.0', '1.1'] }, ''],
    [
      'not what came by digest',
      { source: ['1.0'], records: [record('1.0'), record('1.1', { source: { ...from, digest: 'sha256:x' } })] },
      '',
    ],
    [
      'not a signature, which goes by its image',
      { policy: unselected, source: ['1.0'], records: [record('1.0'), record(`sha256-${'a'.repeat(64)}.sig`)] },
      '',
    ],
    // Filters.
    [
      'not what the filter leaves out by now',
      {
        select: filter({ except: [{ kind: 'glob', text: '1.1' }] }),
        source: ['1.0', '1.1'],
        records: [record('1.0'), record('1.1')],
      },
      '',
    ],
    [
      'not what the filter leaves out and the source lost',
      {
        select: filter({ except: [{ kind: 'glob', text: '1.1' }] }),
        source: ['1.0'],
        records: [record('1.0'), record('1.1')],
      },
      '',
    ],
    [
      'what the filter leaves out, if told so',
      {
        policy: unselected,
        select: filter({ except: [{ kind: 'glob', text: '1.1' }] }),
        source: ['1.0', '1.1'],
        records: [record('1.0'), record('1.1')],
      },
      '1.1 (unselected)',
    ],
    [
      'not all for a mistyped filter',
      {
        policy: unselected,
        select: filter({ match: [{ kind: 'glob', text: '2.*' }] }),
        source: tags(20),
        records: twenty,
      },
      'too-many-deletions',
    ],
    [
      'what newer tags pushed out, however many',
      { policy: unselected, select: filter({ newest: 2 }), source: tags(20), records: twenty.slice(0, 19) },
      tags(18)
        .map((tag) => `${tag} (unselected)`)
        .join(', '),
    ],
    [
      'not what newer tags pushed out, by `mirror`',
      { select: filter({ newest: 2 }), source: tags(20), records: twenty },
      '',
    ],
    [
      'not what moves up into the newest',
      {
        policy: unselected,
        select: filter({ newest: 2 }),
        source: ['1.0', '1.1'],
        records: [record('1.0'), record('1.1'), record('1.2')],
      },
      '1.2 (gone)',
    ],
    [
      'what was taken out of a list',
      { policy: unselected, select: { kind: 'tags', tags: ['1.0'] }, records: [record('1.0'), record('1.1')] },
      '1.1 (unselected)',
    ],
    // Retention.
    [
      'not the newest that are kept',
      { source: ['0.1'], policy: { ...mirror, ...open, keep: 2 }, records: tags(4).map((tag) => record(tag)) },
      '1.0 (gone), 1.1 (gone)',
    ],
    [
      'not what is younger than that',
      {
        source: ['0.1'],
        policy: { ...mirror, ...open, olderThanMs: 90 * day },
        records: [record('1.0'), record('1.1', { at: now - 90 * day + 1 }), record('1.2', { at: now - 90 * day })],
      },
      '1.0 (gone), 1.2 (gone)',
    ],
    // Names at the destination.
    [
      'by the name at the source',
      { source: ['1.0'], records: [record('1.0'), record('old', { source: { ...from, tag: '1.1' } })] },
      'old (gone)',
    ],
    [
      'not a name that the rule writes',
      {
        select: filter({ newest: 1 }),
        source: ['1.0'],
        destination: { ...to, tags: ['current'] },
        records: [record('current', { source: { ...from, tag: '1.1' } }), record('1.0')],
      },
      '',
    ],
    // Other rules with the same destination.
    [
      'not what another rule may bring',
      { source: ['1.0'], records: [record('1.0'), record('1.1')], rules: [rule(all, { id: 'b', from: other })] },
      '',
    ],
    [
      'what another rule would not bring',
      {
        source: ['1.0'],
        records: [record('1.0'), record('1.1')],
        rules: [rule(filter({ match: [{ kind: 'glob', text: '2.*' }] }), { id: 'b', from: other })],
      },
      '1.1 (gone)',
    ],
    [
      'not the name that another rule gives',
      {
        source: ['1.0'],
        records: [record('1.0'), record('1.1')],
        rules: [rule({ kind: 'tags', tags: ['x'] }, { id: 'b', from: other, to: [{ ...to, tags: ['1.1'] }] })],
      },
      '',
    ],
    [
      'what another rule from the same source cannot bring',
      { source: ['1.0'], records: [record('1.0'), record('1.1')], rules: [rule(all, { id: 'b' })] },
      '1.1 (gone)',
    ],
    [
      'not what another rule from the same source takes',
      {
        policy: unselected,
        select: { kind: 'tags', tags: ['1.0'] },
        records: [record('1.0'), record('1.1')],
        rules: [rule(filter({ match: [{ kind: 'glob', text: '1.1' }] }), { id: 'b' })],
      },
      '',
    ],
    [
      'whatever rules with other destinations do',
      {
        source: ['1.0'],
        records: [record('1.0'), record('1.1')],
        rules: [rule(all, { id: 'b', from: other, to: [{ ...to, repository: 'x' }] })],
      },
      '1.1 (gone)',
    ],
  ])('%s', (_what, given, expected) => {
    expect(decide(given)).toBe(expected);
  });

  it('is at most what the cap allows, however the list of the source is cut', () => {
    const list = tags(40);
    const records = list.map((tag) => record(tag));
    const counts = new Set<number>();
    for (let seed = 1; seed <= 400; seed += 1) {
      const share = (seed % 20) / 20;
      const source = list.filter((_, at) => Math.abs(Math.sin(seed * 97 + at * 13)) >= share);
      const said = decide({ source, records });
      if (said === 'too-many-deletions') counts.add(-1);
      else counts.add(said === '' ? 0 : said.split(', ').length);
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(4);
    expect([...counts]).toEqual(expect.arrayContaining([-1, 0, 1]));
  });

  it('says what stopped it and what to do', () => {
    const state = { destination: to, present: new Set(tags(20)), records: twenty, rules: [], now };
    expect(() => decideDeletions(rule(all), mirror, { ...state, sourceTags: tags(4) })).toThrow(
      'nothing is deleted at d.example/mirror/app: 16 of the 20 tags that it brought would go, and it allows 2',
    );
    expect(() => decideDeletions(rule(all), mirror, { ...state, sourceTags: [] })).toThrow(
      's.example/app lists no tags at all',
    );
  });
});
