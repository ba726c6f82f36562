import { describe, expect, it } from 'vitest';
import type { DialectName } from '../../core/announce/dialect-name.ts';
import { createIntakeMemory } from '../../core/announce/intake-memory.ts';
import { indexRules } from '../../core/announce/match.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { EVERY_PLATFORM } from '../../core/model/platform.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { type AnswerDeps, answerRequest, takeEcrEvent } from '../../functions/webhook/answer.ts';
import { noKeys, readSample, senderOf, urlToken, withBody } from '../support/announce.ts';

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
  const started: string[] = [];
  const ledger = {
    startRun: async ({ id }: { id: string }) => void started.push(id),
    recordPage: async (page: { planned: number }) => void pages.push(page),
  };
  const clock = { now: 1_000_000 };
  const deps: AnswerDeps = {
    rules: indexRules(rules),
    ledger,
    tasks: queue as AnswerDeps['tasks'],
    plans: queue as AnswerDeps['plans'],
    memory: createIntakeMemory(),
    keys: noKeys,
    policy: cloudPolicy({ tries: 5, backoffMs: 1000 }),
    log: { info() {}, warn() {}, error() {} },
    count() {},
    now: () => clock.now,
    senders: async () => new Map([['test', senderOf('plain')]]),
  };
  return { deps, sent, pages, started, clock, tasks: () => sent.filter((one): one is Task => 'destinations' in one) };
}

const announced = () => ({ ...readSample('plain/push'), path: `/hooks/test/${urlToken}` });

describe('answerRequest', () => {
  it('says that it took an event only when its task is queued', async () => {
    const { deps, tasks, pages } = surroundings([rule('registry.example.com')]);
    expect(await answerRequest(deps, announced(), 'one')).toMatchObject({ status: 200 });
    expect(tasks()).toMatchObject([{ runId: 'push-test-one', source: { tag: '1.4.2' }, destinations: [{}, {}] }]);
    expect(pages).toMatchObject([{ planned: 2, unchanged: 0 }]);
  });

  it('has the sender try again where the queue is away', async () => {
    const { deps } = surroundings([rule('registry.example.com')], true);
    expect(await answerRequest(deps, announced(), 'one')).toMatchObject({
      status: 503,
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
    expect(sent).toMatchObject([{ kind: 'end-check' }, { ruleId: 'from registry.example.com' }]);
  });

  it('drops nothing of a large body, and counts what it queued', async () => {
    const { deps, tasks } = surroundings([rule('registry.example.com')]);
    const images = Array.from({ length: 800 }, (_, at) => ({ image: `registry.example.com/team/app:t${at}` }));
    const { status, body } = await answerRequest(deps, withBody(announced(), images), 'one');
    expect([status, JSON.parse(body)]).toEqual([200, { accepted: 800, ignored: 0 }]);
    expect(new Set(tasks().map(({ source }) => source.tag)).size).toBe(800);
  });

  it('refuses a body with more events than it can queue in time', async () => {
    const { deps, sent } = surroundings([rule('registry.example.com')]);
    const images = Array.from({ length: 5001 }, (_, at) => ({ image: `registry.example.com/team/app:t${at}` }));
    const { status, body } = await answerRequest(deps, withBody(announced(), images), 'one');
    expect([status, JSON.parse(body)]).toMatchObject([413, { error: 'limit-exceeded' }]);
    expect(sent).toEqual([]);
  });

  it('starts no run where its tasks could not be sent: a run that is there has all of them, and ends', async () => {
    const { deps, started } = surroundings([rule('registry.example.com')]);
    const away = () => Promise.reject(new TranshipError('the queue is away', { class: 'transient', code: 'network' }));
    const response = await answerRequest({ ...deps, tasks: { send: away } }, announced(), 'one');
    expect(response.status).toBe(503);
    expect(started).toEqual([]);
    expect(await answerRequest(deps, announced(), 'one')).toMatchObject({ status: 200 });
    expect(started).toEqual(['push-test-one']);
  });

  it.each<[string, DialectName, string, number]>([
    ['GitHub', 'ghcr', '{}', 400],
    ['Gitea', 'gitea', '{"a":1}', 400],
    ['Nexus', 'nexus', '{"a":1}', 400],
    ['a script', 'plain', '{"a":1}', 400],
    ['distribution, which would repeat it for ever', 'distribution', '{"a":1}', 200],
    ['Harbor', 'harbor', '{"type":"RUBBISH"}', 200],
  ])('leaves a trace of rubbish that %s proved to have sent', async (_, dialect, body, wanted) => {
    const { deps } = surroundings([rule('registry.example.com')]);
    const lines: unknown[] = [];
    const warn = (...line: unknown[]): void => {
      lines.push(line);
    };
    const senders = async () => new Map([['test', senderOf(dialect)]]);
    const log = { info() {}, warn, error() {} };
    const response = await answerRequest({ ...deps, senders, log }, withBody(announced(), body), 'one');
    expect([response.status, lines.length]).toEqual([wanted, 1]);
  });

  it('answers 503, not 404, while its senders cannot be read', async () => {
    const { deps } = surroundings([]);
    const away = async () => {
      throw new TranshipError('no secret', { class: 'configuration', code: 'not-found' });
    };
    expect((await answerRequest({ ...deps, senders: away }, announced(), 'one')).status).toBe(503);
  });
});

describe('takeEcrEvent', () => {
  const event = () => JSON.parse(readSample('ecr/push').rawBody.toString()) as unknown;

  it('makes a task of a push that a rule takes', async () => {
    const { deps, tasks } = surroundings([rule(ecr)]);
    await takeEcrEvent(deps, event(), 'event-1');
    expect(tasks()).toMatchObject([{ source: { registry: ecr, repository: 'team/app', tag: '1.4.2' } }]);
  });

  it.each([
    '123456789012.dkr-ecr.eu-west-1.on.aws',
    '123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com',
    '123456789012.dkr-ecr-fips.eu-west-1.on.aws',
  ])('knows the registry by its other name in a rule, %s', async (registry) => {
    const { deps, tasks } = surroundings([rule(registry)]);
    await takeEcrEvent(deps, event(), 'event-1');
    expect(tasks()).toMatchObject([{ source: { registry, repository: 'team/app', tag: '1.4.2' } }]);
    const one = rule(registry);
    const many: Rule = {
      ...one,
      from: { registry, repository: 'team' },
      discover: { depth: 'one', match: [], except: [], max: 10 },
    };
    const discovered = surroundings([many]);
    await takeEcrEvent(discovered.deps, event(), 'event-1');
    expect(discovered.tasks()).toMatchObject([{ source: { registry, repository: 'team/app' } }]);
  });

  it('takes nothing of another account or region', async () => {
    const others = ['000000000001.dkr-ecr.eu-west-1.on.aws', '123456789012.dkr-ecr.eu-west-2.on.aws'];
    const { deps, sent } = surroundings(others.map((registry) => rule(registry)));
    await takeEcrEvent(deps, event(), 'event-1');
    expect(sent).toEqual([]);
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
