import { describe, expect, it } from 'vitest';
import { decideNotice, type EndedRun } from '../../../core/notice/notice.ts';
import { noticeText, noticeTitle } from '../../../core/notice/notice-text.ts';
import type { Outcome, RunRecord } from '../../../core/pipeline/ports/runs.ts';

const morning = Date.UTC(2026, 10, 26, 3);
const hour = 3_600_000;

const outcome = (tag: string, ruleId = 'app'): Outcome => ({
  runId: 'r',
  ruleId,
  source: { registry: 'a.example', repository: 'app', tag },
  destination: { registry: 'b.example', repository: 'app', tag },
  result: 'failed',
  failure: { class: 'permanent', code: 'denied', message: 'no', mend: 'ask' },
  ...{ bytes: 0, mounted: 0, present: 0, at: 0 },
});
const ended = (tags: string[], part: Partial<RunRecord> = {}): EndedRun => ({
  run: {
    id: 'r',
    trigger: 'tranship.yaml',
    startedAt: morning,
    state: 'done',
    rules: { total: 1, expanded: 1 },
    ruleFailures: [],
    counts: {
      planned: 5,
      copied: 1,
      unchanged: 4 - tags.length,
      failed: tags.length,
      deferred: 0,
      deleted: 0,
      bytes: 0,
    },
    ...part,
  },
  problems: tags.map((tag) => outcome(tag)),
});
const name = (tag: string) => `a.example/app:${tag} -> b.example/app:${tag}`;
const unread = [{ ruleId: 'app', failure: { class: 'transient', code: 'network', message: 'gone' } as const }];

describe('a run is worth a notice', () => {
  it.each([
    { why: 'nothing went wrong', now: ended([]), before: undefined, told: undefined },
    {
      why: 'the first failure',
      now: ended(['1']),
      before: undefined,
      told: { fresh: ['1'], lasting: [], recovered: [] },
    },
    {
      why: 'the same an hour later',
      now: ended(['1'], { startedAt: morning + hour }),
      before: ended(['1']),
      told: undefined,
    },
    {
      why: 'the same on the next day',
      now: ended(['1'], { startedAt: morning + 24 * hour }),
      before: ended(['1']),
      told: { fresh: [], lasting: ['1'], recovered: [] },
    },
    {
      why: 'one more',
      now: ended(['1', '2']),
      before: ended(['1']),
      told: { fresh: ['2'], lasting: ['1'], recovered: [] },
    },
    {
      why: 'one well again',
      now: ended(['2']),
      before: ended(['1', '2']),
      told: { fresh: [], lasting: ['2'], recovered: ['1'] },
    },
    { why: 'all well again', now: ended([]), before: ended(['1']), told: { fresh: [], lasting: [], recovered: ['1'] } },
    {
      why: 'a push, which tells of its own tags only',
      now: ended([], { rules: undefined }),
      before: ended(['1']),
      told: undefined,
    },
  ])('$why', ({ now, before, told }) => {
    const notice = decideNotice(now, before);
    expect(
      notice && {
        fresh: notice.fresh.map((problem) => problem.name),
        lasting: notice.lasting.map((problem) => problem.name),
        recovered: notice.recovered,
      },
    ).toEqual(
      told && {
        fresh: told.fresh.map(name),
        lasting: told.lasting.map(name),
        recovered: told.recovered.map(name),
      },
    );
  });

  it('when a rule cannot be read; its tags are then not taken for well again', () => {
    const notice = decideNotice(ended([], { ruleFailures: unread }), ended(['1']));
    expect(notice?.fresh.map((problem) => problem.name)).toEqual(['rule app']);
    expect(notice?.recovered).toEqual([]);
  });

  describe('of second chances', () => {
    const chances = (failed: string[], well: string[]): EndedRun => ({
      ...ended(failed, { trigger: 'redrive', rules: undefined }),
      redeemed: well.map((tag) => ({ ...outcome(tag), result: 'copied' })),
    });

    it('when something is well again; what fails once more was told before', () => {
      expect(decideNotice(chances(['1'], ['2']), undefined)).toMatchObject({
        fresh: [],
        lasting: [{ name: name('1') }],
        recovered: [name('2')],
      });
      expect(decideNotice(chances(['1'], []), undefined)).toBeUndefined();
    });

    it('and the next run of the rule does not tell it again, unless it fails again', () => {
      const toldWell = new Set([name('1')]);
      expect(decideNotice(ended([]), ended(['1']), toldWell)).toBeUndefined();
      expect(decideNotice(ended(['1']), ended(['1']), toldWell)).toMatchObject({ fresh: [{ name: name('1') }] });
    });
  });

  it('when it was given up', () => {
    expect(decideNotice(ended([], { state: 'interrupted' }), ended(['1']))).toMatchObject({ fresh: [], recovered: [] });
  });
});

describe('the text of a notice', () => {
  it('says in one line how it stands, then what is new, what lasts and what is well again', () => {
    const notice = decideNotice(ended(['2', '3']), ended(['1', '2']))!;
    expect(noticeTitle(notice)).toBe('Tranship: 2 of 5 tags failed, 1 well again');
    expect(
      noticeText(notice),
    ).toBe(`Run r (tranship.yaml): of 5 destination tags 1 were copied, 2 were in step, 2 failed, 0 were put off.

New:
${name('3')}
    denied (permanent): no; ask

As before:
${name('2')}
    denied (permanent): no; ask

Well again:
${name('1')}
`);
  });

  it('is bounded', () => {
    const many = ended(Array.from({ length: 100 }, (_, at) => String(at)));
    const text = noticeText(decideNotice(many, undefined)!);
    expect(text).toContain('and 75 more: tranship status r');
    expect(text.split('\n').length).toBeLessThan(60);
    for (const blanks of ['', ' ']) {
      const failure = { class: 'permanent', code: 'denied', message: `${blanks}${'🐋'.repeat(400)}` } as const;
      const cut = noticeText(decideNotice(ended([], { ruleFailures: [{ ruleId: 'app', failure }] }), undefined)!);
      expect(cut).toContain('🐋');
      expect(cut.isWellFormed()).toBe(true);
    }
  });
});
