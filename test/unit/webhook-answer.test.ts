import { describe, expect, it } from 'vitest';
import { createCoalescer } from '../../core/announce/coalesce.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { EVERY_PLATFORM } from '../../core/model/platform.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { type AnswerDeps, answerRequest, takeEcrEvent } from '../../functions/webhook/answer.ts';
import { noKeys, readSample, sourceOf, urlToken } from '../support/announce.ts';

const ecr = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const rule = (registry: string, select: Rule['select'] = { kind: 'all' }): Rule => ({
  id: `from ${registry}`,
  from: { registry, repository: 'team/app' },
  select,
  to: [
    { registry: 'one.example', repository: 'mirror/app' },
    { registry: 'two.example', repository: 'mirror/app' },
  ],
  platforms: EVERY_PLATFORM,
});

function surroundings(rules: Rule[], fail = false) {
  const sent: Array<Task | PlanMessage | EndCheck> = [];
  const pages: Array<{ planned: number }> = [];
  const queue = {
    async send(messages: Array<Task | PlanMessage | EndCheck>) {
      if (fail) throw new TranshipError('the queue is away', { class: 'transient', code: 'network' });
      sent.push(...messages);
    },
  };
  const ledger = { startRun: async () => {}, recordPage: async (page: { planned: number }) => void pages.push(page) };
  const clock = { now: 1_000_000 };
  const deps: AnswerDeps = {
    rules,
    ledger: ledger as unknown as Ledger,
    tasks: queue as AnswerDeps['tasks'],
    plans: queue as AnswerDeps['plans'],
    coalescer: createCoalescer({ windowMs: 3000, now: () => clock.now }),
    keys: noKeys,
    policy: cloudPolicy({ tries: 5, backoffMs: 1000 }),
    log: { info() {}, warn() {}, error() {} },
    count() {},
    now: () => clock.now,
    sources: async () => new Map([['test', sourceOf('plain')]]),
  };
  return { deps, sent, pages, clock, tasks: () => sent.filter((one): one is Task => 'destinations' in one) };
}

const announced = () => ({ ...readSample('plain/push'), path: `/hooks/test/${urlToken}` });

describe('answerRequest', () => {
  it('says that it took an event only when its task is queued', async () => {
    const { deps, tasks, pages } = surroundings([rule('registry.example.com')]);
    expect(await answerRequest(deps, announced(), 'one')).toMatchObject({ statusCode: 200 });
    expect(tasks()).toMatchObject([{ runId: 'push-test-one', source: { tag: '1.4.2' }, destinations: [{}, {}] }]);
    expect(pages).toMatchObject([{ planned: 2, unchanged: 0 }]);
  });

  it('has the sender try again where the queue is away', async () => {
    const { deps } = surroundings([rule('registry.example.com')], true);
    expect(await answerRequest(deps, announced(), 'one')).toMatchObject({
      statusCode: 503,
      headers: { 'retry-after': '30' },
    });
  });

  it('makes one task of an event that comes twice, and another one when the first has run', async () => {
    const { deps, tasks, clock } = surroundings([rule('registry.example.com')]);
    for (const id of ['one', 'again']) await answerRequest(deps, announced(), id);
    expect(tasks()).toHaveLength(1);
    clock.now += 4000;
    await answerRequest(deps, announced(), 'later');
    expect(tasks()).toHaveLength(2);
  });

  it('has a rule planned anew that one tag cannot decide', async () => {
    const newest: Rule['select'] = { kind: 'filter', match: [], except: [], newest: 3 };
    const { deps, sent, tasks } = surroundings([rule('registry.example.com', newest)]);
    await answerRequest(deps, announced(), 'one');
    expect(tasks()).toEqual([]);
    expect(sent).toMatchObject([{ ruleId: 'from registry.example.com' }, { kind: 'end-check' }]);
  });

  it('answers 503, not 404, while its senders cannot be read', async () => {
    const { deps } = surroundings([]);
    const away = async () => {
      throw new TranshipError('no secret', { class: 'configuration', code: 'not-found' });
    };
    expect((await answerRequest({ ...deps, sources: away }, announced(), 'one')).statusCode).toBe(503);
  });
});

describe('takeEcrEvent', () => {
  const event = () => JSON.parse(readSample('ecr/push').rawBody.toString()) as unknown;

  it('makes a task of a push that a rule takes', async () => {
    const { deps, tasks } = surroundings([rule(ecr)]);
    await takeEcrEvent(deps, event(), 'event-1');
    expect(tasks()).toMatchObject([{ source: { registry: ecr, repository: 'team/app', tag: '1.4.2' } }]);
  });

  it('takes nothing for a registry that no rule copies from', async () => {
    const { deps, sent } = surroundings([rule('registry.example.com')]);
    await takeEcrEvent(deps, event(), 'event-1');
    expect(sent).toEqual([]);
  });

  it('throws where it could not be queued, so that Lambda tries again', async () => {
    const { deps } = surroundings([rule(ecr)], true);
    await expect(takeEcrEvent(deps, event(), 'event-1')).rejects.toMatchObject({ class: 'transient' });
  });
});
