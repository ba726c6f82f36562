import { describe, expect, it } from 'vitest';
import type { Announcement } from '../../core/announce/announcement.ts';
import { indexRules, matchAnnouncement, waitOf } from '../../core/announce/match.ts';
import { formatTarget } from '../../core/model/reference.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import { makeKeyPair } from '../support/signing.ts';

const digest = `sha256:${'a'.repeat(64)}` as const;
const repository = { registry: 'registry.example.com', repository: 'team/app' };
const pushed = (change: Partial<Announcement> = {}): Announcement => ({
  kind: 'push',
  repository,
  tag: '1.4',
  digest,
  dialect: 'plain',
  ...change,
});

/** What announcements lead to, in the words of their references. */
function match(rules: string, ...announcements: Announcement[]) {
  const set = loadRules(`version: 1\nrules:\n${rules}`, { file: 'tranship.yaml', env: {} });
  const options = { runId: 'run', now: 1_000, settleUntil: 4_000 };
  const matches = announcements.map((one) => matchAnnouncement(one, indexRules(set.rules), options));
  const work = matches.filter((one) => one.kind === 'work');
  const tasks = work.flatMap((one) => one.tasks);
  return {
    tasks,
    copies: tasks.map(
      ({ source, destinations }) => `${formatTarget(source)} -> ${destinations.map(formatTarget).join(' ')}`,
    ),
    replan: work.flatMap((one) => one.replan),
    left: matches.flatMap((one) => (one.kind === 'ignored' ? [one.reason] : [])),
    mends: matches.flatMap((one) => (one.kind === 'ignored' ? [one.mend] : [])),
  };
}

const source = 'registry.example.com/team/app';
const all = `  - { from: ${source}, to: [a.example/app, b.example/other] }\n`;

describe('what a pushed tag leads to', () => {
  it('is one task for a rule, with all its destinations, that says what was announced', () => {
    const { copies, left, tasks } = match(all, pushed());
    expect(copies).toEqual([`${source}:1.4 -> a.example/app:1.4 b.example/other:1.4`]);
    expect(left).toEqual([]);
    expect(tasks[0]).toMatchObject({ hint: digest, settleUntil: 4_000, plannedAt: 1_000, attempt: 0, force: false });
    expect(waitOf(tasks[0]!, 3_000)).toBe(0);
  });

  it('waits for the other events of its push where it has no digest', () => {
    const { digest: _, ...bare } = pushed();
    const { tasks } = match(all, bare);
    expect(tasks[0]).not.toHaveProperty('hint');
    expect(waitOf(tasks[0]!, 3_000)).toBe(3_000);
  });

  it('is a task for each rule that takes it', () => {
    const rules = `${all}  - { name: second, from: ${source}, tags: ["1.4"], to: "c.example/app:stable" }\n`;
    expect(match(rules, pushed()).copies).toEqual([
      `${source}:1.4 -> a.example/app:1.4 b.example/other:1.4`,
      `${source}:1.4 -> c.example/app:stable`,
    ]);
  });

  it.each([
    ['listed', '["1.3", "1.4"]', '1.4', true],
    ['not listed', '["1.3"]', '1.4', false],
    ['of a pattern', '{ match: "1.*" }', '1.4', true],
    ['of a regular expression', '{ match: "/^v/" }', '1.4', false],
    ['excepted', '{ match: "1.*", except: "*-rc*" }', '1.4-rc1', false],
    ['in a range of versions', '{ semver: ">=1.4" }', '1.4.2', true],
    ['below a range of versions', '{ semver: ">=1.5" }', '1.4.2', false],
  ])('goes by the selection: %s', (_, tags, tag, isTaken) => {
    const { copies, left } = match(`  - { from: ${source}, tags: ${tags}, to: a.example/app }\n`, pushed({ tag }));
    expect(copies).toEqual(isTaken ? [`${source}:${tag} -> a.example/app:${tag}`] : []);
    expect(left).toEqual(isTaken ? [] : ['unmatched']);
  });

  it('gets the name that the rule gives it', () => {
    const rule = `  - { from: ${source}, tags: ["1.3", "1.4"], to: "a.example/app:old,new" }\n`;
    expect(match(rule, pushed()).copies).toEqual([`${source}:1.4 -> a.example/app:new`]);
  });

  it('may be a digest that a rule names', () => {
    const { tag: _, ...bare } = pushed();
    const rule = `  - { from: "${source}@${digest}", to: a.example/app }\n`;
    expect(match(rule, bare).copies).toEqual([`${source}@${digest} -> a.example/app@${digest}`]);
  });

  it('has a rule planned anew that one tag cannot decide', () => {
    const rule = `  - { name: newest, from: ${source}, tags: { newest: 3 }, to: a.example/app }\n`;
    const { copies, replan } = match(rule, pushed());
    expect([copies, replan]).toEqual([[], [{ ruleId: 'newest' }]]);
  });
});

describe('what was pushed and refers to an image', () => {
  it('is an image like any other where its suffix is of no artifact that comes along', () => {
    const imgpkg = `sha256-${'a'.repeat(64)}.imgpkg`;
    const found = match(all, pushed({ tag: imgpkg }));
    expect(found.copies[0]).toContain(`${source}:${imgpkg} -> `);
  });

  it('has a rule planned anew that requires a signature: its image may have been refused', () => {
    const key = JSON.stringify(makeKeyPair().publicKey);
    const rule = `  - { name: signed, from: ${source}, to: a.example/app, require: { key: ${key} } }\n`;
    expect(match(rule, pushed({ tag: `sha256-${'a'.repeat(64)}` })).replan).toEqual([{ ruleId: 'signed' }]);
  });

  const tag = `sha256-${'a'.repeat(64)}.sig`;
  const one = (more: string) => `  - { from: ${source}, tags: { match: "1.*" }, to: a.example/app${more} }\n`;

  it.each<[string, string, Partial<Announcement>, string[]]>([
    ['a signature', all, { tag }, [`${source}:${tag} -> a.example/app:${tag} b.example/other:${tag}`]],
    [
      'an index of referrers',
      one(''),
      { tag: tag.slice(0, -4) },
      [`${source}:${tag.slice(0, -4)} -> a.example/app:${tag.slice(0, -4)}`],
    ],
    ['a signature of what only some tags lead to', one(''), { tag }, [`${source}:${tag} -> a.example/app:${tag}`]],
    ['by a digest', one(''), { tag: undefined }, [`${source}@${digest} -> a.example/app@${digest}`]],
    ['by a digest, where referrers have tags', one(''), { tag: undefined, dialect: 'distribution' }, []],
    ['where the rule wants none', one(', referrers: none'), { tag }, []],
    ['where the rule wants other ones', one(', referrers: [sboms]'), { tag }, []],
    [
      'where the rule wants this kind',
      one(', referrers: signatures'),
      { tag },
      [`${source}:${tag} -> a.example/app:${tag}`],
    ],
    ['and is deleted', one(''), { tag, kind: 'delete' }, []],
  ])('is brought to where the image is: %s', (_name, rules, change, copies) => {
    const found = match(rules, pushed(change));
    expect(found.copies).toEqual(copies);
    expect(found.left.every((reason) => ['referrer', 'by-digest'].includes(reason))).toBe(true);
  });
});

it('says which name of the registry the rules use, where a sender uses another', () => {
  const { left, mends } = match(all, pushed({ repository: { ...repository, registry: 'core:8080' } }));
  expect(left).toEqual(['unmatched']);
  expect(mends).toEqual([expect.stringContaining('write registry: registry.example.com at this sender')]);
});

describe('what leads to nothing', () => {
  it.each<[string, string, Partial<Announcement>]>([
    ['unmatched', 'another repository', { repository: { ...repository, repository: 'team/app2' } }],
    ['unmatched', 'the same repository of another registry', { repository: { ...repository, registry: 'b.example' } }],
    [
      'own-push',
      'our own push that no rule copies on',
      { repository: { ...repository, repository: 'x' }, userAgent: 'tranship/1' },
    ],
    ['deletion', 'a deletion of what a rule takes', { kind: 'delete' }],
  ])('is told apart as %s: %s', (name, _, change) => {
    expect(match(all, pushed(change))).toMatchObject({ copies: [], replan: [], left: [name] });
  });

  it('is a part of an image: what is pushed by digest to a repository that a rule copies tags of', () => {
    const { tag: _, ...child } = pushed({ dialect: 'distribution' });
    expect(match(all, child)).toMatchObject({ copies: [], left: ['by-digest'] });
    const elsewhere = { ...child, repository: { ...repository, repository: 'team/else' } };
    expect(match(all, elsewhere)).toMatchObject({ copies: [], left: ['unmatched'] });
  });
});
