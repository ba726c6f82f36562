import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderExplanation } from '../../cli/report/explain.ts';
import { renderPlan } from '../../cli/report/plan.ts';
import { type RunReport, renderReport } from '../../cli/report/run.ts';
import { renderStatus } from '../../cli/report/status.ts';
import { renderSuccessImages } from '../../cli/report/success-images.ts';
import { renderVerify } from '../../cli/report/verify.ts';
import { verifyJson } from '../../cli/view/json.ts';
import type { Failure } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Outcome, RunRecord } from '../../core/pipeline/ports/runs.ts';
import { loadRules } from '../../core/rules/load-rules.ts';

const now = new Date(2026, 10, 24, 12, 0, 0).getTime();
const screen = { color: false, columns: undefined, now };
const source = (tag: string) => ({ registry: 'docker.io', repository: 'library/nginx', tag });
const destination = (tag: string, host = 'r.example.com') => ({ registry: host, repository: 'mirror/nginx', tag });
const digest = (fill: string) => `sha256:${fill.repeat(64)}`;

const denied: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'r.example.com forbids it (403)',
  mend: 'Ask for the right to push.',
};
const throttled: Failure = { class: 'throttled', code: 'throttled', message: 'quota spent', retryAt: now + 7_800_000 };

function outcome(tag: string, result: Outcome['result'], extra: Partial<Outcome> = {}): Outcome {
  const plain = { runId: 'run-1', ruleId: 'nginx', bytes: 0, mounted: 0, present: 0, at: now };
  return { ...plain, source: source(tag), destination: destination(tag), result, ...extra };
}

function runOf(counts: Partial<RunRecord['counts']>, extra: Partial<RunRecord> = {}): RunRecord {
  const zero = { planned: 0, copied: 0, deleted: 0, unchanged: 0, failed: 0, deferred: 0, bytes: 0 };
  const base = { id: 'run-1', trigger: 'images.yaml', startedAt: now - 72_000, endedAt: now, ruleFailures: [] };
  return { ...base, state: 'done', counts: { ...zero, ...counts }, ...extra };
}

function report(extra: Partial<RunReport>): string {
  const base = {
    outcomes: [],
    unchangedByRule: [],
    durationMs: 72_000,
    repeat: { state: '', logins: '' },
    detail: 'changes' as const,
    ...screen,
  };
  return renderReport({ run: runOf({}), ...base, ...extra });
}

describe('the report of a run', () => {
  const mixed = {
    run: runOf({ planned: 11, copied: 2, deleted: 0, unchanged: 6, failed: 2, deferred: 1, bytes: 31_000_000 }),
    outcomes: [
      outcome('1', 'copied', { bytes: 29_500_000 }),
      outcome('1.27.0', 'copied', { bytes: 1_500_000, mounted: 2 }),
      outcome('2', 'failed', { failure: denied }),
      outcome('3', 'deferred', { failure: throttled }),
      outcome('4', 'failed', { failure: denied }),
      outcome('5', 'unchanged'),
    ],
    unchangedByRule: [{ ruleId: 'nginx', tags: 5 }],
  };

  it('says what became of every tag, each reason once, the totals and what to do next', () => {
    expect(report(mixed)).toBe(`\
unchanged  6 tags of nginx
copied     docker.io/library/nginx:1       -> r.example.com/mirror/nginx:1       28.1 MiB
copied     docker.io/library/nginx:1.27.0  -> r.example.com/mirror/nginx:1.27.0  1.4 MiB, 2 blobs mounted
deferred   docker.io/library/nginx:3  -> r.example.com/mirror/nginx:3  until 14:10:00, in 2 h 10 min
           throttled: quota spent
failed     docker.io/library/nginx:2  -> r.example.com/mirror/nginx:2
failed     docker.io/library/nginx:4  -> r.example.com/mirror/nginx:4
           denied (permanent): r.example.com forbids it (403)
           Ask for the right to push.

11 tags: 2 copied, 6 unchanged, 2 failed, 1 deferred; 29.6 MiB moved, 2 blobs mounted, 1 min 12 s
Next: tranship redrive --run run-1  try them again
      tranship status run-1         show this again
`);
  });

  it('lists unchanged tags where all are wanted', () => {
    expect(report({ ...mixed, detail: 'all' })).toMatch(/5 tags of nginx\nunchanged {2}docker\.io\/library\/nginx:5 /);
  });

  it('has only what went wrong, or nothing, where no more is wanted', () => {
    const quiet = report({ ...mixed, detail: 'problems' });
    expect(quiet).not.toMatch(/^(copied|unchanged)/m);
    expect(quiet).toContain('denied (permanent)');
    const clean = {
      run: runOf({ planned: 1, copied: 1 }),
      outcomes: [outcome('1', 'copied')],
      detail: 'problems' as const,
    };
    expect(report(clean)).toBe('');
  });

  it('is one line for a run with nothing to do', () => {
    const text = report({ run: runOf({ planned: 1, unchanged: 1 }), durationMs: 400 });
    expect(text).toBe('1 tag: 0 copied, 1 unchanged; 0 B moved, 0.4 s\n');
  });

  it('counts tags that were never reached, and says how to go on', () => {
    const text = report({ run: runOf({ planned: 9, copied: 2 }, { state: 'interrupted' }), detail: 'problems' });
    expect(text).toContain('9 tags: 2 copied, 0 unchanged, 7 not reached');
    expect(text).toContain('Next: the same command  go on');
  });

  it('gives the suggested commands the state directory and the logins of this one', () => {
    const repeat = { state: ' --state /srv/state', logins: ' --auth /etc/auth.yaml' };
    const text = report({ ...mixed, repeat });
    expect(text).toContain('tranship redrive --run run-1 --auth /etc/auth.yaml --state /srv/state  ');
    expect(text).toContain('tranship status run-1 --state /srv/state  ');
  });

  it('shows rules that could not be expanded', () => {
    const run = runOf({}, { ruleFailures: [{ ruleId: 'quay.io/a/b', failure: denied }] });
    expect(report({ run })).toMatch(
      /^failed {5}rule quay\.io\/a\/b.*\n {11}denied .*\n {11}Ask .*\n\n0 tags: .*1 rule failed/,
    );
  });

  it('never cuts a reference, and stacks rows on a terminal too narrow for them', () => {
    const long = { ...destination('1'), repository: `mirror/${'very-long-name/'.repeat(14)}end` };
    const outcomes = [outcome('1', 'copied', { destination: long, bytes: 5 })];
    const run = runOf({ planned: 1, copied: 1 });
    const wide = report({ run, outcomes });
    const narrow = report({ run, outcomes, columns: 60 });
    for (const text of [wide, narrow]) expect(text).toContain(`-> r.example.com/${long.repository}:1`);
    expect(wide.split('\n')[0]).toContain('5 B');
    expect(narrow.split('\n').slice(0, 3)).toEqual([
      'copied     docker.io/library/nginx:1',
      expect.stringMatching(/^ {11}-> /),
      `${' '.repeat(11)}5 B`,
    ]);
  });

  it('wraps reasons on a terminal and lets nothing of them act on it', () => {
    const failure = { ...denied, message: `\x1b]0;x\x07${'word '.repeat(40)}` };
    const text = report({
      run: runOf({ planned: 1, failed: 1 }),
      outcomes: [outcome('1', 'failed', { failure })],
      columns: 60,
    });
    expect(text).not.toContain('\x1b');
    expect(text).toContain('1 tag: 0 copied, 0 unchanged, 1 failed; 0 B moved, 1 min 12\ns\n');
    expect(
      text
        .split('\n')
        .filter((line) => line.includes('word'))
        .every((line) => line.length <= 60),
    ).toBe(true);
  });

  it('has colours where they are wanted, without moving a column', () => {
    const colored = report({ ...mixed, color: true });
    expect(colored).toContain('\x1b[31m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
    expect(colored.replace(/\x1b\[\d+m/g, '')).toBe(report(mixed));
  });
});

describe('a plan', () => {
  const plan = {
    rows: [
      {
        ruleId: 'nginx',
        source: source('1'),
        destination: destination('1'),
        state: 'new' as const,
        bytes: 1_048_576,
        blobs: 1,
      },
      { ruleId: 'nginx', source: source('2'), destination: destination('2'), state: 'changed' as const },
      { ruleId: 'nginx', source: source('3'), destination: destination('3'), state: 'in-step' as const },
    ],
    inStepByRule: [{ ruleId: 'nginx', tags: 7 }],
    empty: 0,
    ruleFailures: [],
    pulls: [{ registry: 'docker.io', pulls: 4, quota: { limit: 100, remaining: 37, windowMs: 6 * 3_600_000 } }],
    discovered: [{ ruleId: 'library', repositories: 2 }],
    budgets: [{ ruleId: 'nginx', pulls: 4, left: 2, budget: { pulls: 80, windowMs: 6 * 3_600_000 } }],
  };

  it('shows what to copy, what it moves at least and the pulls it takes', () => {
    expect(renderPlan({ plan, verbose: false, ...screen })).toBe(`\
found      2 repositories of library
in step    8 tags of nginx
new        docker.io/library/nginx:1  -> r.example.com/mirror/nginx:1  1.0 MiB, 1 blob
changed    docker.io/library/nginx:2  -> r.example.com/mirror/nginx:2

2 tags to copy (1 new, 1 changed), 8 in step; at least 1.0 MiB to move
It would take 4 pulls of docker.io's quota, which has 37 of 100 pulls left, in 6 h.
nginx would take 4 pulls; its budget has 2 of 80 pulls left, in 6 h.
Nothing was written.
`);
  });

  it('lists tags in step where they are wanted', () => {
    expect(renderPlan({ plan, verbose: true, ...screen })).toMatch(
      /7 tags of nginx\nin step {4}docker\.io\/library\/nginx:3/,
    );
  });
});

describe('a rule for many repositories', () => {
  it('is explained by the places that are written', () => {
    const text =
      'version: 1\nrules:\n- { from: "h.io/**", to: [r.io/*, "r.io/m/*"] }\n- { from: h.io/a/*, to: "r.io/*" }';
    const explain = (rule: Rule) =>
      renderExplanation(
        { rule, failure: denied },
        { schedule: undefined, all: false, color: false, columns: undefined },
      );
    const [all, some] = loadRules(text, { file: 'f', env: {} }).rules.map(explain);
    expect(all).toContain('  from    h.io/**\n  to      r.io/*\n          r.io/m/*\n');
    expect(some).toContain('  from    h.io/a/*\n  to      r.io/*\n');
  });
});

describe('the status', () => {
  it('is a table of runs, the reasons of what went wrong, and parked registries', () => {
    const bad = runOf({ planned: 2, copied: 1, failed: 1, bytes: 5 });
    const good = runOf({ planned: 1200, unchanged: 1200 }, { id: 'run-0', trigger: 'redrive' });
    const ruleFailures = [{ ruleId: 'r', failure: denied }];
    const old = runOf({ planned: 1, failed: 1 }, { id: 'run-9', ruleFailures });
    const runs = [
      { run: bad, problems: [outcome('2', 'failed', { failure: denied })] },
      { run: good, problems: [] },
      // Explained by half it would mislead: `tranship status run-9` tells all of it.
      { run: old, problems: [] },
    ];
    const parks = [{ registry: 'docker.io', until: now + 60_000, reason: 'quota' }];
    const quotas = [{ registry: 'docker.io', limit: 100, remaining: 37, windowMs: 6 * 3_600_000, at: now - 60_000 }];
    const budget = { pulls: 80, windowMs: 6 * 3_600_000 };
    const pulls = [{ ruleId: 'nginx', counts: { budget, parts: [[now, 5] as [number, number]] }, version: 1 }];
    expect(renderStatus({ status: { runs, parks, quotas, pulls }, ...screen })).toBe(`\
RUN    STARTED   TOOK        STATE       COPIED  UNCHANGED  FAILED  DEFERRED  MOVED  OF
run-1  11:58:48  1 min 12 s  incomplete       1          0       1         0    5 B  images.yaml
run-0  11:58:48  1 min 12 s  in step          0      1,200       0         0    0 B  redrive
run-9  11:58:48  1 min 12 s  incomplete       0          0       1         0    0 B  images.yaml

Run run-1
failed     docker.io/library/nginx:2  -> r.example.com/mirror/nginx:2
           denied (permanent): r.example.com forbids it (403)
           Ask for the right to push.

parked     docker.io until 12:01:00, in 1 min: quota

quota      docker.io: 37 of 100 pulls left, in 6 h, seen 1 min ago
budget     nginx: 75 of 80 pulls left, in 6 h
`);
  });

  it('says how to begin where there was no run', () => {
    expect(renderStatus({ status: { runs: [], parks: [], quotas: [], pulls: [] }, ...screen })).toContain(
      'tranship sync',
    );
  });
});

describe('a verification', () => {
  const rows = [
    { destination: destination('1'), state: 'ok' as const, expected: digest('a'), actual: digest('a') },
    { destination: destination('2'), state: 'differs' as const, expected: digest('a'), actual: digest('b') },
    { destination: destination('3'), state: 'missing' as const, expected: digest('a'), actual: undefined },
    {
      destination: destination('4'),
      state: 'unreadable' as const,
      expected: digest('a'),
      actual: undefined,
      failure: denied,
    },
  ];

  it('shows both digests of what differs, and counts the rest', () => {
    expect(renderVerify({ rows, detail: 'changes', ...screen })).toBe(`\
differs     r.example.com/mirror/nginx:2
            has    ${digest('b')}
            wanted ${digest('a')}
missing     r.example.com/mirror/nginx:3
            wanted ${digest('a')}
unreadable  r.example.com/mirror/nginx:4
            denied (permanent): r.example.com forbids it (403)
            Ask for the right to push.

4 destination tags: 1 ok, 1 differs, 1 missing, 1 unreadable
Next: tranship sync  copy them again
`);
  });

  it('says nothing where all is well and only problems are wanted', () => {
    const [line] = verifyJson([{ ...rows[1]!, ruleId: 'nginx' }]);
    expect(line).toMatchObject({ type: 'destination', rule: 'nginx', ruleId: 'nginx' });
    expect(renderVerify({ rows: rows.slice(0, 1), detail: 'problems', ...screen })).toBe('');
  });
});

describe('the file of success images', () => {
  const outcomes = [
    outcome('2', 'copied'),
    outcome('1', 'copied', { destination: destination('1', 'b.example.com:5000') }),
    outcome('1', 'copied', { destination: destination('1', 'a.example.com') }),
    outcome('1', 'copied', { destination: destination('1', 'a.example.com') }),
    outcome('3', 'unchanged'),
    outcome('4', 'failed', { failure: denied }),
  ];

  it('is a rules file of what was copied, in the shape of yaml.v2', () => {
    expect(renderSuccessImages(outcomes, 'yaml')).toBe(`\
docker.io/library/nginx:1:
- b.example.com:5000/mirror/nginx:1
- a.example.com/mirror/nginx:1
docker.io/library/nginx:2:
- r.example.com/mirror/nginx:2
`);
    expect(renderSuccessImages([], 'yaml')).toBe('{}\n');
  });

  it('is one line of JSON with the same content', () => {
    const json = renderSuccessImages(outcomes, 'json');
    expect(json.indexOf('\n')).toBe(json.length - 1);
    expect(JSON.parse(json)).toEqual(parse(renderSuccessImages(outcomes, 'yaml')));
  });
});
