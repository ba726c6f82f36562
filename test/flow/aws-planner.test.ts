import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Rule } from '../../core/model/rule.ts';
import type { EndCheck, PlanMessage } from '../../core/pipeline/ports/queue.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { type EndDeps, lookForEnd } from '../../functions/planner/end.ts';
import { planMessage } from '../../functions/planner/plan.ts';
import { startRun } from '../../functions/planner/start.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type FaultyRegistry, startFaultyRegistry } from '../support/faulty-registry.ts';
import { noPlatforms, type Surroundings, startSurroundings } from '../support/functions.ts';

let at: Surroundings;
let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;
let bad: FaultyRegistry;
let runs = 0;

const policy = cloudPolicy({ tries: 3, backoffMs: 1000 });

beforeAll(async () => {
  at = await startSurroundings();
  [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
  const image = await pushImage({ url: source.url, repository: 'app' }, { seed: 'app', tag: 'v1' });
  for (let n = 0; n < 1500; n++) source.content.putManifest('app', `v1.${n}`, image.mediaType, image.bytes);
});

beforeEach(async () => {
  bad = await startFaultyRegistry({ upstream: source.url });
});

afterEach(() => bad.close());

afterAll(async () => {
  await at.close();
  await Promise.all([source.close(), destination.close()]);
});

function rule(id: string, host: string, tags?: string[]): Rule {
  return {
    id,
    from: { registry: host, repository: 'app' },
    select: tags ? { kind: 'tags', tags } : { kind: 'all' },
    to: [{ registry: destination.host, repository: `mirror-${id}` }],
    platforms: noPlatforms,
  };
}

/** Starts a run of these rules. @returns its id, with the plan messages that it sent */
async function start(rules: Rule[], request: { force?: boolean; rules?: string[] } = {}) {
  const deps = { ledger: at.ledger, queue: at.queues.plans, rules, policy, now: Date.now };
  const { runId } = await startRun(deps, { trigger: 'test', force: false, ...request }, `request-${runs++}`);
  return { runId, messages: (await at.drainPlans()).map(({ message }) => message) };
}

async function plan(message: PlanMessage, rules: Rule[], deadline = Number.POSITIVE_INFINITY): Promise<void> {
  const deps = {
    ...at,
    client: at.copy.client,
    tasks: at.queues.tasks,
    plans: at.queues.plans,
    rules: new Map(rules.map((one) => [one.id, one])),
    policy,
    now: Date.now,
  };
  await planMessage(deps, message, { deadline, signal: new AbortController().signal });
}

const planned = (run: RunRecord | undefined) => run?.counts.planned;

describe('a run', () => {
  it('begins with one message a rule and one to look for its end', async () => {
    const rules = [rule('one', source.host), rule('two', source.host), rule('three', source.host)];
    const { runId, messages } = await start(rules, { force: true });
    const run = await at.ledger.readRun(runId);
    expect(run).toMatchObject({ trigger: 'test', state: 'running', rules: { total: 3, expanded: 0 } });
    const common = { version: 1, runId, attempt: 0 };
    expect(messages).toHaveLength(4);
    for (const ruleId of ['one', 'two', 'three']) {
      expect(messages).toContainEqual({ ...common, ruleId, force: true, runStartedAt: run?.startedAt });
    }
    expect(messages).toContainEqual({ ...common, kind: 'end-check' });
  });

  it("of one schedule's time is one run, however often it is delivered", async () => {
    const rules = [rule('one', source.host)];
    const deps = { ledger: at.ledger, queue: at.queues.plans, rules, policy };
    const request = { trigger: 'daily', scheduledTime: '2026-11-24T03:00:00Z', force: false };
    const first = await startRun({ ...deps, now: () => 1000 }, request, 'request-a');
    const second = await startRun({ ...deps, now: () => 2000 }, request, 'request-b');
    expect(second).toEqual(first);
    const messages = (await at.drainPlans()).map(({ message }) => message).filter((message) => !('kind' in message));
    expect(messages.map((message) => 'runStartedAt' in message && message.runStartedAt)).toEqual([1000, 1000]);
  });

  it("of one schedule's time is not begun anew when it has ended", async () => {
    const deps = { ledger: at.ledger, queue: at.queues.plans, rules: [rule('one', source.host)], policy };
    const request = { trigger: 'late', scheduledTime: '2026-11-24T03:00:00Z', force: false };
    const { runId } = await startRun({ ...deps, now: () => 1000 }, request, 'request-a');
    await at.drainPlans();
    await at.ledger.endRun(runId, 'done', 2000);
    expect(await startRun({ ...deps, now: () => 3000 }, request, 'request-b')).toEqual({ runId, rules: 1 });
    expect((await at.drainPlans()).filter(({ message }) => !('kind' in message))).toEqual([]);
  });

  it('takes the rules that are asked for, and no others', async () => {
    const rules = [rule('one', source.host), rule('two', source.host)];
    const { messages } = await start(rules, { rules: ['two'] });
    expect(messages.map((message) => 'ruleId' in message && message.ruleId).filter(Boolean)).toEqual(['two']);
    await expect(start(rules, { rules: ['three'] })).rejects.toThrow('the rules file has no rule three');
  });
});

describe('a planner', () => {
  it('goes on in a new message when its time is over, and counts every tag once', async () => {
    const rules = [rule('long', source.host)];
    const { runId, messages } = await start(rules);
    let message = messages.find((one): one is PlanMessage => 'ruleId' in one);
    const tags = new Set<string | undefined>();
    for (let invocations = 1; message; invocations++) {
      await plan(message, rules, 0);
      for (const { message: task } of await at.drainTasks()) tags.add(task.source.tag);
      const next = (await at.drainPlans())[0]?.message;
      expect(invocations).toBeLessThan(4);
      message = next && 'ruleId' in next ? next : undefined;
      if (message) expect(message.after).toBeDefined();
    }
    expect(tags.size).toBe(1501);
    const run = await at.ledger.readRun(runId);
    expect(run).toMatchObject({ rules: { total: 1, expanded: 1 }, counts: { planned: 1501 } });
  });

  it('tries a rule again that fails for the moment, and fails it in the end', async () => {
    bad.setFaults([{ effect: { kind: 'answer', status: 503 } }]);
    const rules = [rule('flaky', bad.host)];
    const { runId, messages } = await start(rules);
    let message = messages.find((one): one is PlanMessage => 'ruleId' in one)!;
    for (const attempt of [1, 2]) {
      await plan(message, rules);
      const [again] = await at.drainPlans();
      expect(again?.message).toMatchObject({ ruleId: 'flaky', attempt });
      message = again!.message as PlanMessage;
    }
    await plan(message, rules);
    expect(await at.drainPlans()).toEqual([]);
    const run = await at.ledger.readRun(runId);
    expect(run).toMatchObject({
      rules: { expanded: 1 },
      ruleFailures: [{ ruleId: 'flaky', failure: { code: 'server-error', status: 503 } }],
    });
  });

  it('fails a rule at once where no retry can help: no such repository, no such rule', async () => {
    const rules = [{ ...rule('gone', source.host), from: { registry: source.host, repository: 'nowhere' } }];
    const { runId, messages } = await start(rules);
    await plan(messages.find((one): one is PlanMessage => 'ruleId' in one)!, rules);
    await plan({ version: 1, runId, ruleId: 'unknown', attempt: 0 }, rules);
    expect(await at.drainPlans()).toEqual([]);
    const { ruleFailures } = (await at.ledger.readRun(runId))!;
    expect(ruleFailures.map(({ ruleId, failure }) => [ruleId, failure.code]).sort()).toEqual([
      ['gone', 'not-found'],
      ['unknown', 'config-invalid'],
    ]);
  });

  it('parks a registry that has had enough, and no other planner asks it', async () => {
    bad.setFaults([{ effect: { kind: 'answer', status: 429, headers: { 'retry-after': '3600' } } }]);
    const rules = [rule('busy', bad.host)];
    const { messages } = await start(rules);
    const message = messages.find((one): one is PlanMessage => 'ruleId' in one)!;
    for (const expected of ['asked', 'spared']) {
      bad.requests.length = 0;
      await plan(message, rules);
      const [waiting] = await at.drainPlans();
      expect(waiting?.message).toEqual(message);
      expect(waiting!.notBefore).toBeGreaterThan(Date.now() + 3_000_000);
      expect(bad.requests.length > 0).toBe(expected === 'asked');
    }
  });
});

describe('the end of a run', () => {
  function endDeps(reported: RunRecord[], now = Date.now): EndDeps {
    return {
      ...at,
      queue: at.queues.plans,
      policy,
      now,
      async report(run) {
        reported.push(run);
      },
    };
  }

  it('is looked for until it is there, and reported by one', async () => {
    const rules = [rule('end', source.host, ['v1'])];
    const { runId, messages } = await start(rules);
    const reported: RunRecord[] = [];
    const check = { version: 1, kind: 'end-check', runId, attempt: 4 } as const;
    await lookForEnd(endDeps(reported), check, false);
    expect((await at.drainPlans()).map(({ message }) => message)).toEqual([{ ...check, attempt: 5 }]);

    await plan(messages.find((one): one is PlanMessage => 'ruleId' in one)!, rules);
    await lookForEnd(endDeps(reported), check, false);
    expect(reported).toEqual([]);
    await at.drainPlans();

    const [task] = await at.drainTasks();
    const [to] = task!.message.destinations;
    await at.ledger.recordOutcome({
      ...{ runId, ruleId: 'end', source: task!.message.source, destination: to!, result: 'copied', at: 1 },
      ...{ bytes: 0, mounted: 0, present: 0 },
    });
    await Promise.all([lookForEnd(endDeps(reported), check, false), lookForEnd(endDeps(reported), check, false)]);
    expect(reported.map((run) => [run.state, planned(run), run.counts.copied])).toEqual([['done', 1, 1]]);
    expect(await at.drainPlans()).toEqual([]);

    // The look that ended the run may have broken off before it reported it.
    await lookForEnd(endDeps(reported), check, true);
    expect(reported).toHaveLength(2);
  });

  it('is looked for a while where the run is not stored yet', async () => {
    const looks: number[] = [];
    let check: EndCheck | undefined = { version: 1, kind: 'end-check', runId: 'not-yet', attempt: 0 };
    while (check) {
      looks.push(check.attempt);
      await lookForEnd(endDeps([]), check, false);
      check = (await at.drainPlans()).map(({ message }) => message).find((message) => 'kind' in message);
    }
    expect(looks).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('comes for a run that never gets complete when its last message is gone', async () => {
    const { runId } = await start([rule('lost', source.host)]);
    const reported: RunRecord[] = [];
    const later = () => Date.now() + 15 * 24 * 3_600_000;
    await lookForEnd(endDeps(reported, later), { version: 1, kind: 'end-check', runId, attempt: 900 }, false);
    expect(reported.map(({ state }) => state)).toEqual(['interrupted']);
    expect(await at.drainPlans()).toEqual([]);
  });
});
