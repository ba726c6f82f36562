import { afterAll } from 'vitest';
import { createIntakeMemory } from '../../core/announce/intake-memory.ts';
import { indexRules } from '../../core/announce/match.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { answerRequest } from '../../functions/webhook/answer.ts';
import { openHookServer } from '../../machine/serve/hook-server.ts';
import { createInbox } from '../../machine/serve/inbox.ts';
import { createPushRuns } from '../../machine/serve/push-runs.ts';
import { openState } from '../../machine/state/state.ts';
import { deps, noKeys, noon, urlToken } from '../support/announce.ts';
import { openWorkplace } from '../support/command.ts';
import { intakeContract } from '../support/intake-contract.ts';

const json = { 'content-type': 'application/json' };

intakeContract('the webhook function', async (rules, senders) => {
  const sent: Array<Task | PlanMessage | EndCheck> = [];
  const queue = { send: async (messages: Array<Task | PlanMessage | EndCheck>) => void sent.push(...messages) };
  const ledger = { startRun: async () => {}, recordPage: async () => {}, recordRuleFailure: async () => {} };
  const byName = new Map(senders.map((sender) => [sender.name, sender]));
  const functionDeps = {
    rules: indexRules(rules),
    ledger,
    tasks: queue,
    plans: queue,
    memory: createIntakeMemory(),
    keys: noKeys,
    policy: cloudPolicy({ tries: 5, backoffMs: 1000 }),
    log: { info() {}, warn() {}, error() {} },
    count() {},
    now: () => noon,
    senders: async () => byName,
  };
  let posted = 0;
  return {
    async post({ name }, body) {
      const request = {
        method: 'POST',
        path: `/hooks/${name}/${urlToken}`,
        headers: json,
        rawBody: Buffer.from(JSON.stringify(body)),
      };
      posted += 1;
      return answerRequest(functionDeps, request, String(posted));
    },
    tasks: () => sent.filter((one): one is Task => 'destinations' in one),
    plans: () => sent.filter((one): one is PlanMessage => 'ruleId' in one && !('destinations' in one)),
    close: () => {},
  };
});

const place = openWorkplace();
afterAll(() => place.remove());
let opened = 0;

intakeContract('one machine', async (rules, senders) => {
  opened += 1;
  const state = openState(`${place.directory}/state-${opened}`);
  const stored: Array<Task | PlanMessage> = [];
  const inbox = createInbox({
    rules: () => index,
    memory: createIntakeMemory(),
    gatherMs: 1_000,
    run: createPushRuns(() => noon),
    store(run, work) {
      state.runOwners.promise(run, work);
      stored.push(...work.flatMap(({ tasks, plans }) => [...tasks, ...plans]));
    },
    now: () => noon,
  });
  const index = indexRules(rules);
  const server = await openHookServer({
    listen: { host: '127.0.0.1', port: 0 },
    senders: () => new Map(senders.map((sender) => [sender.name, sender])),
    verify: deps,
    refusal: () => undefined,
    store: (announcements, settleMs) => inbox.put(announcements, settleMs),
    delivered: () => {},
    admin: { refusal: () => undefined, metrics: async () => ({ contentType: 'text/plain', text: '' }) },
  });
  return {
    async post({ name }, body) {
      const url = `${server.url}/hooks/${name}/${urlToken}`;
      const response = await fetch(url, { method: 'POST', headers: json, body: JSON.stringify(body) });
      return { status: response.status, body: await response.text() };
    },
    tasks: () => stored.filter((one): one is Task => 'destinations' in one),
    plans: () => stored.filter((one): one is PlanMessage => !('destinations' in one)),
    async close() {
      await server.close();
      state.close();
    },
  };
});
