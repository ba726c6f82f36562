import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadRules } from '../../../core/rules/load-rules.ts';
import { parsePlatformText } from '../../../core/rules/platform-text.ts';

function load(text: string, env: Record<string, string> = {}) {
  return loadRules(text, { file: 'tranship.yaml', env });
}

/** A file of one rule with these further lines. */
function rule(...lines: string[]): string {
  return ['version: 1', 'rules:', '  - from: nginx', '    to: r.io/nginx', ...lines.map((line) => `    ${line}`)].join(
    '\n',
  );
}

function refusal(text: string): string {
  try {
    load(text);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`accepted: ${text}`);
}

describe('tranship.yaml', () => {
  it('reads the example', () => {
    const text = readFileSync(new URL('../../../examples/tranship.yaml', import.meta.url), 'utf8');
    const { rules, warnings } = load(text);
    expect(warnings).toEqual([]);
    expect(rules.map(({ id, select }) => [id, select.kind])).toEqual([
      ['quay.io/coreos/kube-rbac-proxy', 'all'],
      ['nginx', 'filter'],
      ['nginx-alpine', 'filter'],
      ['etcd', 'tags'],
      ['redis-current', 'filter'],
    ]);
    expect(rules[1]).toMatchObject({
      from: { registry: 'docker.io', repository: 'library/nginx' },
      select: { kind: 'filter', match: [], except: [], semver: '>=1.24', newest: 5 },
      platforms: { platforms: ['linux/amd64', 'linux/arm64'], os: [], arch: [] },
    });
    expect(rules[3]?.to).toEqual([
      { registry: 'registry.example.com', repository: 'mirror/etcd', tags: ['stable', 'old'] },
    ]);
  });

  it.each([
    ['tags: 1.10', { kind: 'tags', tags: ['1.10'] }],
    ['tags: [1.10, 2, latest, 2]', { kind: 'tags', tags: ['1.10', '2', 'latest'] }],
    ['tags: "1.*"', { kind: 'filter', match: [{ kind: 'glob', text: '1.*' }], except: [] }],
    ['tags: /^1/', { kind: 'filter', match: [{ kind: 'regex', text: '^1' }], except: [] }],
    [
      'tags: [1.10, /^2/]',
      {
        kind: 'filter',
        match: [
          { kind: 'glob', text: '1.10' },
          { kind: 'regex', text: '^2' },
        ],
        except: [],
      },
    ],
    ['tags: {except: ["*-rc*"]}', { kind: 'filter', match: [], except: [{ kind: 'glob', text: '*-rc*' }] }],
    ['tags: {semver: 1.x, newest: 2}', { kind: 'filter', match: [], except: [], semver: '1.x', newest: 2 }],
  ])('%s', (line, select) => {
    expect(load(rule(line)).rules[0]?.select).toEqual(select);
  });

  it.each([
    ['pulls: 80/6h', { pulls: 80, windowMs: 6 * 3_600_000 }],
    ['pulls: 1 / 30m', { pulls: 1, windowMs: 1_800_000 }],
    ['platforms: linux/amd64', undefined],
  ])('%s', (line, pulls) => {
    expect(load(rule(line)).rules[0]?.pulls).toEqual(pulls);
  });

  it('gives endpoints to the rules whose source is at their registry', () => {
    const head = 'version: 1\nendpoints:\n';
    const rules = 'rules: [{from: nginx, to: r.io/n}, {from: quay.io/a/b, to: r.io/b}]';
    const text = `${head}  docker.io: [mirror.gcr.io, "Harbor.example.com:8443/hub/proxy/"]\n${rules}`;
    expect(load(text).rules.map((one) => one.endpoints)).toEqual([
      [
        { registry: 'mirror.gcr.io', path: '' },
        { registry: 'harbor.example.com:8443', path: 'hub/proxy' },
      ],
      undefined,
    ]);
    for (const [line, message] of [
      ['docker.io: https://mirror.gcr.io', '3:14: "https://mirror.gcr.io" is not an endpoint — write a host'],
      ['docker.io: hub', '3:14: "hub" is not an endpoint'],
      ['docker.io: index.docker.io', '3:14: "index.docker.io" is the registry itself'],
      ['hub: mirror.gcr.io', '3:3: "hub" is not a registry'],
      ['{docker.io: m.io, index.docker.io: m.io}', '"index.docker.io" means docker.io, which has endpoints above'],
      ['docker.io: []', 'is empty'],
    ]) {
      expect(refusal(`${head}  ${line}\n${rules}`)).toContain(message);
    }
  });

  it("takes the images file's short forms in from", () => {
    const { rules } = load('version: 1\nrules: [{from: "a:v1,v2", to: "b:x,y"}, {from: "a:/^v/", to: [c, d]}]');
    expect(rules.map((each) => [each.id, each.select.kind, each.to.length])).toEqual([
      ['a:v1,v2', 'tags', 1],
      ['a:/^v/', 'filter', 2],
    ]);
  });

  it('gives rules of one source different ids', () => {
    const { rules } = load(
      'version: 1\nrules: [{from: a, to: b}, {from: a, to: c}, {name: x, from: a, to: d}, {from: x, to: e}]',
    );
    expect(rules.map((each) => each.id)).toEqual(['a', 'a #2', 'x', 'x #2']);
  });

  it('puts in environment variables in to', () => {
    const text = 'version: 1\nrules: [{from: a, to: "$HOST/a"}]';
    expect(load(text, { HOST: 'r.io' }).rules[0]?.to).toEqual([{ registry: 'r.io', repository: 'a' }]);
    expect(refusal(text)).toMatch(/tranship\.yaml:2:23: the environment variable HOST is not set/);
  });

  it('can be written as JSON', () => {
    expect(load('{"version":1,"rules":[{"from":"a","to":"b","tags":["1.10"]}]}').rules[0]?.select).toEqual({
      kind: 'tags',
      tags: ['1.10'],
    });
  });

  it.each([
    [rule('tag: x'), 'tranship.yaml:5:5: unknown key "tag" — did you mean tags?'],
    [rule('tags: {mach: x}'), 'tranship.yaml:5:12: unknown key "mach" — did you mean match?'],
    [
      rule('tags: {xyzzyxyzzy: x}'),
      'tranship.yaml:5:12: unknown key "xyzzyxyzzy" — the keys are match, except, semver, newest',
    ],
    ['version: 1\nrules:\n  - from: a', 'tranship.yaml:3:5: item 1 of rules has no "to"'],
    ['version: 1', 'tranship.yaml:1:1: the file has no "rules"'],
    ['version: 2\nrules: []', 'tranship.yaml:1:10: version must be 1'],
    ['rules: [{from: a, to: b}]', 'tranship.yaml:1:1: the file has no "version"'],
    ['version: 1\nrules: {from: a}', 'tranship.yaml:2:8: rules must be a list, and is a map'],
    [
      'version: 1\nrules: [{from: 5, to: b}]',
      'tranship.yaml:2:16: from must be text, and is the number 5 — put it in quotes',
    ],
    ['version: 1\nrules: [{from: , to: b}]', 'tranship.yaml:2:16: from must be text, and is empty'],
    [
      rule('tags: true'),
      'tranship.yaml:5:11: tags must be text or a number or a list or a map, and is the boolean true — put it in quotes',
    ],
    [rule('pulls: 80'), 'tranship.yaml:5:12: pulls must be text, and is the number 80 — put it in quotes'],
    [rule('pulls: 80 per day'), 'tranship.yaml:5:12: "80 per day" is not a budget of pulls — write it like 80/6h'],
    [rule('pulls: 0/6h'), /^tranship\.yaml:5:12: "0\/6h" allows no pulls/],
    [rule('pulls: 5/10s'), /^tranship\.yaml:5:12: "5\/10s" allows no pulls, or its time is not between/],
    [rule('tags: []'), 'tranship.yaml:5:11: tags is empty'],
    [rule('tags: {}'), 'tranship.yaml:5:11: tags is empty'],
    [rule('tags: {newest: 0}'), 'tranship.yaml:5:20: newest must be at least 1'],
    [rule('tags: {newest: 1.5}'), 'tranship.yaml:5:20: newest must be a whole number, and is the number 1.5'],
    [
      rule('tags: {semver: ">=x.y"}'),
      'tranship.yaml:5:20: ">=x.y" is not a range of versions — write it as npm does: ">=1.24 <2", "1.x", "~1.4 || ^2.1"',
    ],
    [rule('tags: {match: /(/}'), /^tranship\.yaml:5:19: the regular expression "\(" cannot be used/],
    [
      rule('tags: {except: ["[a"]}'),
      /^tranship\.yaml:5:21: the pattern "\[a" cannot be used: a \[ in it is not closed/,
    ],
    [
      rule('tags: {match: "^v.*"}'),
      'tranship.yaml:5:19: the pattern "^v.*" cannot be used: no tag has "^" in it — write a regular expression between slashes: /^v.*/',
    ],
    [rule('tags: "v1\\\\.\\\\d+$"'), /no tag has "\\\\" in it — write a regular expression between slashes: \/v1/],
    [rule('tags: {match: ".*"}'), /no tag begins with "\." — write a regular expression between slashes: \/\.\*\//],
    [rule('tags: {except: ["-alpine*"]}'), /no tag begins with "-" — write \*-alpine\*, if other characters/],
    [rule('tags: "{latest,stable}"'), /no tag has a { — write several patterns as a list/],
    [rule('tags: {match: "v1*,v2*"}'), /no tag has a , — write several patterns as a list/],
    [rule('tags: {match: "!latest"}'), /no tag has a ! — leave tags out with `except`/],
    [rule('tags: {match: /alpine/i}'), /does not end with a slash — write flags in front, as \/\(\?i\)alpine\//],
    [rule('tags: {semver: "!=1.10"}'), /is not a range .*; leave tags out with `except`/],
    [rule('tags: a:b'), 'tranship.yaml:5:11: "a:b" is not a tag — list several tags as a YAML list'],
    [
      rule('platforms: [linux-amd64]'),
      'tranship.yaml:5:17: "linux-amd64" is not a platform such as linux/amd64 or linux/arm64/v8',
    ],
    [rule('platforms: [linux/x86_64]'), 'tranship.yaml:5:17: "linux/x86_64" is not a platform — x86_64 is amd64 here'],
    ['version: 1\nrules: [{from: "a:v1", to: b, tags: v2}]', /says both in from and in tags/],
    ['version: 1\nrules: [{from: a, tags: [1, 2], to: "b:x"}]', /1 tag where the source has 2 tags/],
    [
      'version: 1\nrules:\n- {name: n, from: a, to: b}\n- {name: n, from: c, to: d}',
      'tranship.yaml:4:10: the name "n" is there already, on line 3 — give another',
    ],
    [
      'version: 1\nversion: 2\nrules: []',
      'tranship.yaml:2:1: the key "version" is there already, on line 1 — keep one of them',
    ],
  ])('refuses %j', (text, message) => {
    const said = refusal(text);
    if (typeof message === 'string') expect(said).toBe(message);
    else expect(said).toMatch(message);
  });

  it.each([
    ['delete: mirror', { tags: 'mirror', max: { percent: 10 } }],
    ['delete: unselected', { tags: 'unselected', max: { percent: 10 } }],
    ['delete: { max: 5 }', { tags: 'mirror', max: { count: 5 } }],
    ['delete: { max: 0 }', { tags: 'mirror', max: { count: 0 } }],
    [
      'delete: { tags: unselected, max: 12.5%, keep: 3, olderThan: 90d }',
      { tags: 'unselected', max: { percent: 12.5 }, keep: 3, olderThanMs: 90 * 86_400_000 },
    ],
  ])('takes %s', (line, policy) => {
    expect(load(rule(line)).rules[0]?.delete).toEqual(policy);
  });

  it.each([
    ['delete: true', 'delete must be mirror or unselected or a map, and is the boolean true'],
    ['delete: all', 'delete must be mirror or unselected or a map'],
    ['delete: { max: 101% }', '"101%" is not a number of tags or a share of them'],
    ['delete: { max: 1.5 }', '"1.5" is not a number of tags'],
    ['delete: { max: many }', '"many" is not a number of tags'],
    ['delete: { keep: 0 }', 'keep'],
    ['delete: { olderThan: 2y }', '"2y" is not a time of at most a year'],
    ['delete: { older: 2d }', 'older'],
    ['tags: [1.0]\n    delete: mirror', 'the rule lists its tags'],
  ])('refuses %s', (line, what) => {
    expect(refusal(rule(line))).toContain(what);
  });

  it('leaves delete out of rules for a digest', () => {
    const text = `version: 1\nrules:\n  - { from: nginx@sha256:${'a'.repeat(64)}, to: r.io/nginx, delete: mirror }`;
    expect(refusal(text)).toContain('a digest cannot be deleted at its source');
  });

  it('reports everything that the schema finds together', () => {
    const message = refusal('version: 1\nrules:\n- form: a\n  to: 5\n- from: b\n  to: c\n  newst: 1\n  tag: x');
    expect(
      message
        .split('\n')
        .slice(1)
        .map((line) => line.split(': ')[0]),
    ).toEqual([
      'tranship.yaml:3:3',
      'tranship.yaml:3:3',
      'tranship.yaml:4:7',
      'tranship.yaml:7:3',
      'tranship.yaml:8:3',
    ]);
  });
});

describe('telling formats apart', () => {
  it('takes an images file whose sources are called like keys', () => {
    expect(load('version: r.io/version\nrules: r.io/rules\nimages: r.io/images').rules.map((each) => each.id)).toEqual([
      'version',
      'rules',
      'images',
    ]);
  });

  it('knows a file of ours in which something is missing', () => {
    expect(refusal('rules:\n  - from: a\n    to: b')).toMatch(/has no "version"/);
    expect(refusal('version: 1\nrule: []')).toMatch(/unknown key "rule" — did you mean rules/);
  });
});

describe('platforms', () => {
  it.each([
    ['platforms', 'linux/amd64'],
    ['platforms', 'linux/arm64/v8'],
    ['os', 'windows:10.0.17763.1'],
    ['os', 'linux'],
    ['arch', 'arm:v7'],
    ['arch', 'ppc64le'],
  ] as const)('%s %s', (part, text) => {
    expect(parsePlatformText(part, text)).toBe(text);
  });

  it.each([
    ['platforms', 'linux'],
    ['platforms', 'linux/amd64/v1/x'],
    ['platforms', 'Linux/amd64'],
    ['arch', 'aarch64'],
    ['arch', 'arm/v7'],
    ['os', ''],
  ] as const)('refuses %s %s', (part, text) => {
    expect(() => parsePlatformText(part, text)).toThrow(/is not a/);
  });

  it.each([
    ['arch', 'armhf', 'armhf is arm:v7 here'],
    ['platforms', 'linux/armhf', 'armhf is arm/v7 here'],
    ['arch', 'arm64v8', 'arm64v8 is arm64 here'],
    ['arch', 'armv6', 'armv6 is arm:v6 here'],
    ['arch', 'armel', 'armel is arm:v5 here'],
    ['arch', 'arm/v7', 'write arm:v7'],
    ['arch', 'arm:7', 'write arm:v7'],
    ['platforms', 'linux/arm/7', 'write arm/v7'],
    ['os', 'macos', 'macos is darwin here'],
  ] as const)('tells of %s %s what is taken', (part, text, mend) => {
    expect(() => parsePlatformText(part, text)).toThrow(expect.objectContaining({ mend }));
    const [taken = ''] = /[\w:/]+$/.exec(mend.replace(' here', '')) ?? [];
    const whole = part === 'platforms' ? `linux/${taken}` : taken;
    expect(parsePlatformText(part, whole)).toBe(whole);
  });
});
