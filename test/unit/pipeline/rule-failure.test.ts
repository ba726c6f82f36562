import { describe, expect, it } from 'vitest';
import { type Failure, toFailure } from '../../../core/model/errors.ts';
import type { PlanMessage } from '../../../core/pipeline/ports/queue.ts';
import { ruleIsGone, settleRule } from '../../../core/pipeline/rule-failure.ts';
import { cloudPolicy, runPolicy } from '../../../core/pipeline/try-policy.ts';

const NOW = 1_000_000;
const message: PlanMessage = { version: 1, runId: 'run', ruleId: 'rule', attempt: 0, after: 'v3' };
const run = runPolicy({ retries: 2, maxWaitMs: 60_000 });
const cloud = cloudPolicy({ tries: 3, backoffMs: 30_000 });
const state = { now: NOW, waitingSince: () => NOW, random: () => 1 };
const slow: Failure = { class: 'transient', code: 'timeout', message: 'no answer' };
const throttled: Failure = {
  class: 'throttled',
  code: 'throttled',
  message: 'quota',
  registry: 'r.example',
  retryAt: NOW + 9000,
};
const park = { registry: 'r.example', until: NOW + 9000, reason: 'quota' };

describe('a rule that could not be planned', () => {
  it.each([
    ['in the next round', run, { kind: 'next-round' }],
    ['after a pause', cloud, { kind: 'after', ms: 30_000 }],
  ])('is tried again %s, from where it was', (_when, policy, delay) => {
    expect(settleRule(message, slow, policy, state)).toEqual({
      kind: 'again',
      message: { ...message, attempt: 1 },
      delay,
    });
  });

  it('fails after its last try', () => {
    expect(settleRule({ ...message, attempt: 2 }, slow, run, state)).toEqual({
      kind: 'failed',
      failure: slow,
      park: undefined,
    });
  });

  it('fails at once where trying again cannot help, or the rule is gone', () => {
    const gone = toFailure(ruleIsGone('rule'));
    expect(settleRule(message, gone, run, state)).toMatchObject({
      kind: 'failed',
      failure: { code: 'config-invalid' },
    });
  });

  it('waits for a registry that throttles, without counting a try', () => {
    expect(settleRule(message, throttled, run, state)).toEqual({
      kind: 'waits',
      message,
      delay: { kind: 'after', ms: 9000 },
      park,
    });
  });

  it('fails where the registry has been waited for too long, and parks it for the others', () => {
    const late = { ...state, waitingSince: () => NOW - 60_001 };
    expect(settleRule(message, throttled, run, late)).toEqual({ kind: 'failed', failure: throttled, park });
  });
});
