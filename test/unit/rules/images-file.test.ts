import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Located } from '../../../core/config/located.ts';
import { openFile } from '../../../core/config/problems.ts';
import { TranshipError } from '../../../core/model/errors.ts';
import { formatRepository } from '../../../core/model/reference.ts';
import { readImages } from '../../../core/rules/images-file.ts';
import { loadConfig } from '../../../core/rules/load-config.ts';
import { loadRules } from '../../../core/rules/load-rules.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const other = `sha256:${'cd'.repeat(32)}`;

function load(text: string, options: { env?: Record<string, string>; registry?: string; namespace?: string } = {}) {
  return loadRules(text, { file: 'images.yaml', env: {}, ...options });
}

function refusal(text: string, options: Parameters<typeof load>[1] = {}): TranshipError {
  try {
    load(text, options);
  } catch (error) {
    if (error instanceof TranshipError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

/** The one rule of a file with one rule. */
function one(text: string, options: Parameters<typeof load>[1] = {}) {
  const { rules } = load(text, options);
  expect(rules).toHaveLength(1);
  return rules[0]!;
}

describe("sources of image-syncer's images file", () => {
  it('takes all tags where none is given', () => {
    expect(one('quay.io/a/b: r.io/a/b')).toEqual({
      id: 'quay.io/a/b',
      from: { registry: 'quay.io', repository: 'a/b' },
      select: { kind: 'all' },
      to: [{ registry: 'r.io', repository: 'a/b' }],
      platforms: { platforms: [], os: [], arch: [] },
    });
  });

  it.each([
    ['nginx:v1', { kind: 'tags', tags: ['v1'] }],
    ['127.0.0.1:300/library/nginx:v1,v2', { kind: 'tags', tags: ['v1', 'v2'] }],
    ['"nginx:v1, v2"', { kind: 'tags', tags: ['v1', 'v2'] }],
    ['nginx:v1,v1', { kind: 'tags', tags: ['v1'] }],
    [`nginx@${digest}`, { kind: 'digest', digest }],
    ['nginx:/a+/', { kind: 'filter', match: [{ kind: 'regex', text: 'a+' }], except: [] }],
    [
      '127.0.0.1:300/x:/^1[.:,/]{1,3}$/',
      { kind: 'filter', match: [{ kind: 'regex', text: '^1[.:,/]{1,3}$' }], except: [] },
    ],
    ['nginx://', { kind: 'filter', match: [{ kind: 'regex', text: '' }], except: [] }],
  ])('%s', (source, select) => {
    expect(one(`${source}: r.io/x`).select).toEqual(select);
  });

  it('reads keys that look like numbers as text', () => {
    expect(one('1.10: r.io/x').from).toEqual({ registry: 'docker.io', repository: 'library/1.10' });
  });

  it('takes one repository in several rules', () => {
    const { rules, warnings } = load('a:v1: r.io/a\na:v1,v2: r.io/a\na: r.io/a');
    expect(rules.map((rule) => rule.id)).toEqual(['a:v1', 'a:v1,v2', 'a']);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['a,b', /no tag before the comma/],
    ['a:v1,', /nothing between two commas/],
    ['a:v1,.x', /".x" is not a tag/],
    [`a:v1,${digest}`, /digest cannot be one of a list/],
    [`a@${digest},v1`, /digest cannot be one of a list/],
    ['a:/x', /no \/ at the end/],
    ['a:v1:/x/', /not a single tag/],
    ['a:/(/', /regular expression "\(" cannot be used/],
    ['a:/(?!x)/', /cannot be used/],
    ['https://quay.io/a', /is a URL/],
    ['"a b"', /blank/],
    ['""', /empty/],
  ])('refuses the source %s', (source, what) => {
    const error = refusal(`ok: r.io/ok\n${source}: r.io/x`);
    expect(error.message).toMatch(what);
    expect(error.place).toEqual({ file: 'images.yaml', line: 2, column: 1 });
    expect(error.message).toMatch(/^images\.yaml:2:1: /);
  });

  it('says what to do instead of a look-ahead', () => {
    expect(refusal('a:/^(?!x)/: b').message).toMatch(/no look-around; leave tags out with `except`/);
  });

  it('gives a rule with a very long source a short, stable id', () => {
    const source = `a:${Array.from({ length: 500 }, (_, at) => `v${at}`).join(',')}`;
    const { id, select } = one(`${source}: r.io/a`);
    expect(id.length).toBeLessThanOrEqual(200);
    expect(one(`${source}: r.io/b`).id).toBe(id);
    expect(one(`${source},more: r.io/b`).id).not.toBe(id);
    expect(select).toMatchObject({ tags: expect.objectContaining({ length: 500 }) });
  });

  it('warns of a tag that a digest makes idle', () => {
    expect(load(`a:v1@${digest}: b:v1`).warnings).toEqual([
      expect.stringMatching(/^images\.yaml:1:1: the tag "v1" beside/),
    ]);
  });
});

describe('destinations', () => {
  it.each<[string, string[][]]>([
    ['a:v1: b', [[]]],
    ['a:v1: b:x', [['x']]],
    ['a:v1,v2: b:x,y', [['x', 'y']]],
    ['a:v1,v1: b:x,y', [['x'], ['y']]],
    [
      'a:v1,v2,v1: b:x,y,z',
      [
        ['x', 'y'],
        ['z', 'y'],
      ],
    ],
    ['a: b:x', [['x']]],
    ['a:/x/: b:x,y', [['x', 'y']]],
    [`a@${digest}: b:x`, [['x']]],
    ['a:v1: [b, docker.io/library/b, library/b, index.docker.io/b]', [[]]],
    ['a:v1: ["b:x", "b:y"]', [['x'], ['y']]],
  ])('%s', (text, tags) => {
    expect(one(text).to.map((to) => to.tags ?? [])).toEqual(tags);
  });

  it('takes the digest of the source again, and no other', () => {
    expect(one(`a@${digest}: b@${digest}`).to).toEqual([{ registry: 'docker.io', repository: 'library/b', digest }]);
    expect(refusal(`a@${digest}: b@${other}`).message).toMatch(/not that of the source/);
    expect(refusal(`a:v1: b@${other}`).message).toMatch(/digest where the source has none/);
  });

  it.each([
    ['a:v1: b:x,y', /it has 2 tags where the source has 1 tag — give as many/],
    ['a:v1,v2: b:x', /it has 1 tag where the source has 2 tags/],
    [`a@${digest}: b:x,y`, /2 tags where the source has 1/],
    ['a: b:/x/', /cannot be a regular expression/],
    ['a: 5', /must be text/],
    ['a: {b: c}', /must be text/],
    ['a: [[b]]', /must be text/],
    ['a: B/c', /lower-case/],
    ['a: r.io:5000', /"r\.io:5000" does not fit: it names a registry and no repository — write it as r\.io:5000\/name/],
    ['a: localhost', /names a registry and no repository/],
    ['a: "[::1]:5000"', /names a registry and no repository/],
    ['a:', /destination is empty — write one, or give --registry and --namespace/],
    ['a: ""', /destination is empty/],
    ['a: []', /destination is empty/],
    ['a: [b, ""]', /destination is empty/],
    ['- a', /a rules file is a map/],
    ['just text', /a rules file is a map/],
    ['', /the file is empty/],
    ['- nginx:1', /give each image a destination/],
    [' \n\n', /the file is empty/],
  ])('refuses %s', (text, what) => {
    expect(refusal(text).message).toMatch(what);
  });

  it('makes an empty destination of the default registry and namespace', () => {
    const options = { registry: 'r.io:5000', namespace: 'mirror/x' };
    const to = [{ registry: 'r.io:5000', repository: 'mirror/x/etcd' }];
    for (const empty of ['""', '~', '', '[]']) expect(one(`quay.io/coreos/etcd:v1: ${empty}`, options).to).toEqual(to);
    expect(one('nginx: ""', { registry: 'r.io' }).to).toEqual([{ registry: 'r.io', repository: 'nginx' }]);
  });

  it('puts in environment variables', () => {
    const env = { HOST: 'r.io', NS: 'team/a' };
    expect(one(`nginx: $HOST/\${NS}/nginx`, { env }).to).toEqual([{ registry: 'r.io', repository: 'team/a/nginx' }]);
    const error = refusal('a: r.io/a\nb: $HOST/$NOT_SET/b', { env });
    expect(error.message).toBe(
      'images.yaml:2:4: the environment variable NOT_SET is not set — set it, or write $$ for a dollar',
    );
  });
});

describe('the file as a whole', () => {
  it('reports everything at once, in order', () => {
    const { message, place } = refusal(
      'A/B: r.io/x\nok: r.io/ok\nb:v1: r.io/b:1,2\nc: [r.io/c, r.io/C]\nok: $NOPE/x\nd: *nope\n',
    );
    expect(message.split('\n').map((line) => line.split(': ')[0])).toEqual([
      '6 problems in images.yaml',
      'images.yaml:1:1',
      'images.yaml:3:7',
      'images.yaml:4:13',
      'images.yaml:5:1',
      'images.yaml:6:4',
      'images.yaml:6:4',
    ]);
    expect(place).toEqual({ file: 'images.yaml', line: 1, column: 1 });
  });

  it('shows twenty problems and counts the rest', () => {
    const lines = refusal(Array.from({ length: 50 }, (_, at) => `A${at}/x: b`).join('\n')).message.split('\n');
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe('… and 30 more');
  });

  it('warns of a line that is there twice, in YAML and in JSON', () => {
    const { rules, warnings } = load('a:v1: r.io/b\nx: [r.io/x, s.io/x]\na:v1: r.io/b\nx: [r.io/x, s.io/x]\n');
    expect(rules).toHaveLength(2);
    expect(warnings).toEqual([
      'images.yaml:3:1: the key "a:v1" is there already, on line 1, with the same value',
      'images.yaml:4:1: the key "x" is there already, on line 2, with the same value',
    ]);
    expect(load('{"a":"r.io/b",\n"a":"r.io/b"}').warnings).toEqual([expect.stringContaining('2:1: the key "a"')]);
    for (const [one, other] of [
      ['[r.io/x]', '[r.io/x, r.io/y]'],
      ['[r.io/x, r.io/y]', '[r.io/x]'],
      ['r.io/x', '[r.io/x]'],
      ['1.1', '1.10'],
    ]) {
      expect(refusal(`x: ${one}\nx: ${other}`).message).toContain('there already, on line 1 — keep one');
    }
  });

  it('refuses a key that is there twice, naming both lines', () => {
    expect(refusal('a:v1: r.io/b\nx: r.io/x\na:v1: r.io/c').message).toBe(
      'images.yaml:3:1: the key "a:v1" is there already, on line 1 — keep one of them',
    );
    expect(refusal('{"a":"b",\n"a":"c"}').message).toMatch(/^images\.yaml:2:1: .*on line 1/);
  });

  it('reads JSON with tabs, a byte order mark, escapes and no blanks', () => {
    const { rules } = load('\uFEFF{\n\t"a:v1":"r.io\\/a",\n\t"b:/^v\\\\d$/":\t["r.io/b",\t"s.io/b"]\n}');
    expect(rules.map((rule) => rule.to.map(formatRepository))).toEqual([['r.io/a'], ['r.io/b', 's.io/b']]);
    expect(rules[1]?.select).toMatchObject({ match: [{ kind: 'regex', text: '^v\\d$' }] });
  });

  it('points at the place of an error in JSON', () => {
    expect(refusal('{\n  "a": "r.io/a",\n  "b": "r.io/B"\n}').place).toMatchObject({ line: 3, column: 8 });
    expect(refusal('{\n  "a": "r.io/a",\n  "b": "r.io/b"').place).toMatchObject({ line: 3 });
    expect(refusal('{\n  "a": "r.io/a"\n} x').place).toMatchObject({ line: 3, column: 3 });
  });

  it('explains braces in a list', () => {
    expect(refusal(`a: [\${HOST}/b]`).message).toMatch(/needs quotes/);
  });

  it('takes anchors, aliases and merge keys', () => {
    const { rules } = load('a: &to [r.io/x, s.io/x]\nb: *to\n<<: {c: r.io/c}');
    expect(rules.map((rule) => [rule.id, rule.to.length])).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 1],
    ]);
  });

  it('bounds what a few aliases can stand for', () => {
    const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
    for (let at = 1; at < 12; at += 1)
      lines.push(
        `a${at}: &a${at} [${Array(10)
          .fill(`*a${at - 1}`)
          .join(',')}]`,
      );
    expect(refusal(lines.join('\n')).message).toMatch(/more than 1000000 values/);
    expect(refusal('a: &a [*a]').message).toMatch(/contains itself/);
    expect(refusal('a: *nope').message).toMatch(/no anchor/);
  });

  it.each([
    ['deep brackets', '['.repeat(8000)],
    ['deep maps', `${'{a: '.repeat(60)}b${'}'.repeat(60)}`],
    ['too many destinations', `a: [${Array.from({ length: 101 }, (_, at) => `b${at}`)}]`],
    ['too many tags', `a:${'v,'.repeat(10_001)}v: b`],
    ['a long regular expression', `a:/${'x|'.repeat(6000)}/: b`],
    ['more than 8 MiB', `a: b\n${' '.repeat(8 * 1024 * 1024)}`],
  ])('refuses %s', (_, text) => {
    expect(refusal(text).code).toBe('config-invalid');
  });

  it('refuses too many rules', () => {
    // Parsing the text of so many takes most of a second.
    const to: Located = { kind: 'scalar', value: 'b', text: 'b', offset: 0, weight: 1 };
    const entries = new Map(Array.from({ length: 50_001 }, (_, at) => [`a${at}`, { keyOffset: 0, value: to }]));
    const file = openFile('images.yaml');
    const read = readImages(file, { kind: 'map', entries, offset: 0, weight: 1 }, { env: {}, fallback: {} });
    expect(read).toEqual([]);
    expect(file.problems).toEqual([expect.objectContaining({ what: 'the file has more than 50000 rules' })]);
  });

  it('reads only the first of several documents, and says so', () => {
    const { rules, warnings } = load('a: r.io/a\n---\nb: r.io/b');
    expect(rules).toHaveLength(1);
    expect(warnings).toEqual([expect.stringMatching(/first YAML document/)]);
  });

  it.each(['{}', '# nothing yet', '---', '--- # nothing\n...', 'null', '\uFEFF# nothing'])(
    'accepts %j, which has no rules, and says so',
    (text) => {
      expect(load(text)).toMatchObject({ rules: [], warnings: ['images.yaml: there are no rules in the file'] });
    },
  );

  it('never throws anything but a configuration error', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '/',
      '-',
      '"',
      "'",
      '{',
      '}',
      '[',
      ']',
      ',',
      '&x',
      '*x',
      '$',
      '@',
      '<<',
      '\t',
      '#',
      '!',
      '|',
      '(',
      'v1',
      'rules:',
      'version: 1',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 25 }).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            for (const rule of load(text).rules) expect(rule.to.length).toBeGreaterThan(0);
          } catch (error) {
            if (!(error instanceof TranshipError)) throw error;
            expect(error.class).toBe('configuration');
            expect(error.place?.line).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('warnings', () => {
  it.each([
    [
      'a:v1: r.io/x:t\nb:v1: r.io/x:t',
      /^images\.yaml:2:1: "r\.io\/x:t" is also written by the rule on line 1, from "docker\.io\/library\/a:v1"/,
    ],
    ['a:v1,v2: r.io/x:t,t', /also written by the same rule/],
    [
      'a: r.io/x\nb: r.io/x',
      /"r\.io\/x" is also written .*every run changes what is there — give one of them another destination$/,
    ],
    ['a: a', /onto itself/],
    ['a:v1: docker.io/library/a', /onto itself/],
    ['a:/x/: a', /onto itself/],
  ])('%s', (text, warning) => {
    expect(load(text).warnings).toEqual([expect.stringMatching(warning)]);
  });

  it.each(['a:v1: a:v2', 'a:v1: r.io/x\na:v1,v2: r.io/x', 'a:/x/: r.io/x\nb:/y/: r.io/x', `a@${digest}: b`])(
    'none for %s',
    (text) => {
      expect(load(text).warnings).toEqual([]);
    },
  );
});

describe('examples', () => {
  const example = (name: string) => readFileSync(new URL(`../../../examples/${name}`, import.meta.url), 'utf8');

  it('says the same in YAML and JSON', () => {
    const yaml = loadRules(example('images.yaml'), { file: 'images.yaml', env: {} });
    const json = loadRules(example('images.json'), { file: 'images.json', env: {} });
    expect({ ...json, lines: {} }).toEqual({ ...yaml, lines: {} });
    expect(yaml.rules).toHaveLength(5);
    expect(yaml.warnings).toEqual([]);
  });

  it('reads the older config file, with its logins', () => {
    const { rules, auth } = loadConfig(example('config.json'), { file: 'config.json', env: {} });
    expect(rules.rules).toHaveLength(3);
    expect(auth.entries.get('127.0.0.1:5000')).toEqual({ username: 'xxx', password: 'xxxxxxxxx', insecure: true });
    expect(loadRules(example('config.json'), { file: 'config.json', env: {} })).toEqual(rules);
  });
});

describe('loadConfig', () => {
  it('leaves a dollar in a password alone, but takes a value that is a variable', () => {
    const text = `
auth:
  a.io: {username: u, password: "pa$word$"}
  b.io: {username: "\${NAME}", password: $SECRET}
  c.io: {username: u, password: $NOT_SET}
images: {a.io/x: b.io/x}
defaultRegistry: r.io
`;
    const { auth, rules } = loadConfig(text, { file: 'config.yaml', env: { NAME: 'n', SECRET: 's', word: 'X' } });
    expect(Object.fromEntries(auth.entries)).toEqual({
      'a.io': { username: 'u', password: 'pa$word$' },
      'b.io': { username: 'n', password: 's' },
      'c.io': { username: 'u', password: '$NOT_SET' },
    });
    expect(rules.warnings).toEqual([expect.stringMatching(/:7:1: defaultRegistry is not read/)]);
  });

  it('reports both halves together', () => {
    const text = 'auth:\n  a.io: {user: x}\nimages:\n  A/b: c\n';
    expect(() => loadConfig(text, { file: 'c.yaml', env: {} })).toThrow(
      /2 problems[\s\S]*unknown key "user"[\s\S]*lower-case/,
    );
  });

  it('wants images', () => {
    expect(() => loadConfig('auth: {}', { file: 'c.yaml', env: {} })).toThrow(/has no images/);
  });
});
