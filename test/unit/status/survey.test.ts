import { afterEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../../core/model/errors.ts';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { causesOf } from '../../../core/status/causes.ts';
import { createSurveyor, inStep } from '../../../core/status/survey.ts';
import { openLedger } from '../../../machine/state/ledger.ts';
import { temporaryState } from '../../support/state.ts';

const states = temporaryState();
afterEach(states.clean);

const destination = { registry: 'mirror.example', repository: 'app' };
const source = { registry: 'source.example', repository: 'app' };
const denied: Failure = { class: 'permanent', code: 'denied', message: 'no', registry: 'mirror.example' };

function outcome(runId: string, tag: string, over: Partial<Outcome> = {}): Outcome {
  const where = { source: { ...source, tag }, destination: { ...destination, tag } };
  return { runId, ruleId: 'app', ...where, result: 'copied', bytes: 5, mounted: 0, present: 0, at: 10, ...over };
}

function openSurvey() {
  const ledger = openLedger(states.open(states.directory()));
  const survey = createSurveyor(ledger);
  return {
    ledger,
    look: async (ruleIds?: string[]) => survey({ runs: 10, ruleIds: ruleIds && new Set(ruleIds) }),
    /** A run that plans so many tags of a rule, in one page, and ends. */
    async run(id: string, startedAt: number, outcomes: Outcome[], plan?: { ruleId?: string; planned: number }) {
      await ledger.startRun({ id, trigger: 't', startedAt });
      if (plan !== undefined) {
        const { ruleId = 'app', planned } = plan;
        await ledger.recordPage({ runId: id, ruleId, after: '', planned, unchanged: planned - outcomes.length });
      }
      for (const each of outcomes) await ledger.recordOutcome(each);
      await ledger.endRun(id, 'done', startedAt + 1);
    },
  };
}

const failed = (runId: string, tag: string, over: Partial<Outcome> = {}) =>
  outcome(runId, tag, { result: 'failed', failure: denied, ...over });

describe('a survey', () => {
  it('knows nothing of an empty ledger', async () => {
    expect(await openSurvey().look()).toEqual({ runs: [], rules: [], failing: [], isCut: false });
  });

  it('takes counts from the newest expansion and what failed in it or since', async () => {
    const { look, run } = openSurvey();
    await run('old', 1, [failed('old', 'a'), failed('old', 'b')], { planned: 9 });
    await run('new', 2, [failed('new', 'b'), outcome('new', 'c')], { planned: 10 });
    await run('push', 3, [failed('push', 'd', { result: 'deferred' })]);
    const { rules, failing } = await look();
    // `a` is in step, or not in the rule any more: the newer expansion says nothing of it.
    expect(failing.map((each) => [each.destination.tag, each.runId])).toEqual([
      ['b', 'new'],
      ['d', 'push'],
    ]);
    expect(rules).toMatchObject([{ ruleId: 'app', planned: 10, failing: 2, inHand: 0, plannedAt: 2, changedAt: 2 }]);
    expect(rules.map(inStep)).toEqual([8]);
  });

  it('leaves out what arrived later, as by a redrive, and not what is gone since', async () => {
    const { ledger, look, run } = openSurvey();
    await run('new', 2, [failed('new', 'a'), failed('new', 'b')], { planned: 2 });
    const record = { sourceDigest: 'sha256:1', destinationDigest: 'sha256:1', platforms: '', at: 99 };
    for (const [tag, how] of [
      ['a', 'copied'],
      ['b', 'gone'],
    ] as const) {
      await ledger.write({ ...record, source: { ...source, tag }, destination: { ...destination, tag }, how });
    }
    expect((await look()).failing.map((each) => each.destination.tag)).toEqual(['b']);
  });

  it('counts what is in hand while a run goes on, and keeps what failed until that has ended', async () => {
    const { ledger, look, run } = openSurvey();
    await run('old', 1, [failed('old', 'a')], { planned: 3 });
    await ledger.startRun({ id: 'now', trigger: 't', startedAt: 2 });
    await ledger.recordPage({ runId: 'now', ruleId: 'app', after: '', planned: 4, unchanged: 1 });
    await ledger.recordOutcome(outcome('now', 'x'));
    const { rules, failing } = await look();
    expect(rules).toMatchObject([{ planned: 4, inHand: 2, failing: 1 }]);
    expect(failing).toHaveLength(1);
  });

  it('takes deletions that were planned alone for no expansion, and counts no deleted tag', async () => {
    const { look, run } = openSurvey();
    await run('old', 1, [failed('old', 'a'), outcome('old', 'b', { result: 'deleted' })], { planned: 5 });
    await run('deletions', 2, [outcome('deletions', 'c', { result: 'deleted' })], { planned: 1 });
    const { rules, failing } = await look();
    expect(rules).toMatchObject([{ planned: 4, failing: 1, plannedAt: 1, changedAt: 2 }]);
    expect(failing).toHaveLength(1);
  });

  it('knows a rule that no tag fits', async () => {
    const { look, run } = openSurvey();
    await run('new', 2, [], { planned: 0 });
    expect((await look()).rules).toMatchObject([{ planned: 0, plannedAt: 2 }]);
  });

  it('goes by the rules of now where they are known', async () => {
    const { look, run } = openSurvey();
    await run('new', 2, [failed('new', 'a', { ruleId: 'gone' })], { ruleId: 'gone', planned: 1 });
    const { rules, failing } = await look(['app']);
    expect(rules).toMatchObject([{ ruleId: 'app', planned: undefined, failing: 0 }]);
    expect(failing).toEqual([]);
  });

  it('tells of a rule that cannot be expanded until it is', async () => {
    const { ledger, look, run } = openSurvey();
    await run('old', 1, [], { planned: 1 });
    await ledger.startRun({ id: 'new', trigger: 't', startedAt: 2 });
    await ledger.recordRuleFailure('new', 'app', denied);
    await ledger.endRun('new', 'done', 3);
    const before = await look();
    expect(before.rules).toMatchObject([{ failure: denied, planned: 1 }]);
    expect(causesOf(before)).toMatchObject([{ code: 'denied', tags: 0, rules: 1 }]);
    await run('newest', 4, [], { planned: 1 });
    expect((await look()).rules[0]?.failure).toBeUndefined();
  });
});

it('groups failures by code and registry, with the mend of the failure or of the code', () => {
  const elsewhere: Failure = { ...denied, registry: 'other.example', mend: 'ask Eve', message: 'not you' };
  const failing = [
    failed('r', 'a', { failure: elsewhere }),
    failed('r', 'b'),
    failed('r', 'c', { failure: { ...denied, message: 'no, again' } }),
    failed('r', 'd'),
  ];
  expect(causesOf({ failing, rules: [] })).toMatchObject([
    {
      code: 'denied',
      registry: 'mirror.example',
      tags: 3,
      mend: expect.stringMatching(/^give the account pull/),
      messages: [
        { text: 'no', count: 2 },
        { text: 'no, again', count: 1 },
      ],
      examples: ['mirror.example/app:b', 'mirror.example/app:c', 'mirror.example/app:d'],
    },
    { registry: 'other.example', tags: 1, mend: 'ask Eve' },
  ]);
});
