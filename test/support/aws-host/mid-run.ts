import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { formatMessage, parsePlannerMessage } from '../../../core/pipeline/messages.ts';
import type { PlanMessage, Task } from '../../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../../core/pipeline/try-policy.ts';
import { createRegistryClient } from '../../../core/registry/client.ts';
import { planMessage } from '../../../functions/planner/plan.ts';
import { readRules } from '../../../infra/rules.ts';
import { pushImage } from '../../../testing/images.ts';
import { startRegistry } from '../../../testing/registry/server.ts';
import { urlToken } from '../announce.ts';
import { serverError, throttled } from '../faults.ts';
import { startFaultyRegistry } from '../faulty-registry.ts';
import { rulesFile, webhooksFile } from '../synth.ts';
import { until } from './between-registries.ts';
import { deploy } from './deployment.ts';

/**
 * Prints what the stack of this version has in its table and its queues in the middle of runs, for the version that is
 * deployed over it:
 *
 *     CDK_VALIDATION=false node test/support/aws-host/mid-run.ts > test/support/fixtures/mid-run.json
 *
 * One run for each thing that can be under way; a run has the name of its rule. So that a rule can stop behind a page
 * of two tags, PAGE_TAGS in core/pipeline/expand.ts is 2 meanwhile.
 */
const tags = {
  done: ['1', '2'],
  denied: ['1'],
  again: ['1'],
  parked: ['1'],
  killed: ['1'],
  waiting: ['1', '2', '3'],
  cursor: ['1', '2', '3'],
  planned: ['1'],
  pushed: ['1'],
};
type Name = keyof typeof tags;

const source = await startRegistry();
const behind = await startRegistry();
const destination = await startFaultyRegistry({ upstream: behind.url });
const busy = await startFaultyRegistry({ upstream: behind.url });
for (const [name, list] of Object.entries(tags)) {
  for (const tag of list)
    await pushImage({ url: source.url, repository: `${name}/app` }, { seed: `${name} ${tag}`, tag });
}
const rules = Object.keys(tags).map((name) => ({
  name,
  from: `${source.host}/${name}/app`,
  to: [`${name === 'parked' ? busy.host : destination.host}/${name}/app`],
}));
const file = webhooksFile(`ci: { dialect: plain, token: $CI_TOKEN, allow: ["${source.host}"] }`);
const { host, ledger, ...stack } = await deploy(rules, { webhooksFile: file, attempts: 2 });
const logins = [source, destination, busy].map((one) => [one.host, { insecure: true }]);
host.putSecret('Logins/Secret', JSON.stringify(Object.fromEntries(logins)));
host.putSecret('Webhook/Secret', JSON.stringify({ CI_TOKEN: urlToken }));
const denied = { kind: 'answer', status: 403, body: '{"errors":[{"code":"DENIED","message":"no"}]}' } as const;
destination.setFaults([
  { when: { method: ['POST', 'PUT'], path: /\/denied\// }, effect: denied },
  { when: { path: /\/again\// }, effect: serverError() },
  { when: { method: 'PATCH', path: /\/killed\// }, effect: { kind: 'stall-request', afterBytes: 10 } },
]);
busy.setFaults([{ when: { path: /\/(blobs|manifests)\// }, effect: throttled(3600) }]);

const at = Date.now();
const runs: Partial<Record<Name, string>> = {};
const start = async (name: Name) => {
  runs[name] = await stack.start(name);
  return runs[name];
};
const bodies = (queue: string) => host.queue(queue).bodies();

await stack.ended(await start('done'), 100_000);
await stack.ended(await start('denied'), 100_000);
await start('again');
await until(() => bodies('Tasks/DeadLetters').length > 0);
await start('parked');
await until(() => bodies('Tasks/Queue').some((body) => body.includes('notBefore')));
await start('killed');
await until(() => destination.find('PATCH', /killed/).some(({ requestBytes }) => requestBytes === 10));
const closing = host.mapping('Tasks/Queue').close();
await host.kill('Copier/Function');
await closing;
await host.mapping('PushedTasks/Queue').close();
const url = await host.functionUrl('Webhook/Handler/Function');
await fetch(`${url}/hooks/ci/${urlToken}`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ image: `${source.host}/pushed/app:1` }),
});
await until(() => bodies('PushedTasks/Queue').length > 0);
const waiting = await start('waiting');
await until(() => bodies('Tasks/Queue').filter((body) => body.includes(waiting)).length === tags.waiting.length);
await host.mapping('Plans/Queue').close();
await start('planned');
await start('cursor');

// The first page of a rule, as a planner does it whose time is over then.
const whole = bodies('Plans/Queue').find((body) => body.includes('"ruleId":"cursor"')) ?? '';
const rest: string[] = [];
const { rules: loaded } = readRules(rulesFile(JSON.stringify({ version: 1, rules })));
await planMessage(
  {
    client: createRegistryClient({ credentials: { lookup: async () => ({ insecure: true }) } }),
    ledger,
    tasks: {
      send: async (tasks: Task[]) => {
        for (const task of tasks) await host.send('Tasks/Queue', formatMessage(task));
      },
    },
    plans: { send: async (messages) => void rest.push(...messages.map((one) => formatMessage(one))) },
    rules: new Map(loaded.map((rule) => [rule.id, rule])),
    policy: cloudPolicy({ tries: 2, backoffMs: 1_000 }),
    emit: () => {},
    log: { info: console.error, warn: console.error, error: console.error },
    count: () => {},
    now: Date.now,
  },
  parsePlannerMessage(whole).message as PlanMessage,
  { deadline: 0, signal: new AbortController().signal },
);

const queues = {
  ...Object.fromEntries(
    ['Tasks/Queue', 'PushedTasks/Queue', 'Tasks/DeadLetters', 'Plans/DeadLetters'].map((name) => [name, bodies(name)]),
  ),
  'Plans/Queue': [...bodies('Plans/Queue').filter((body) => body !== whole), ...rest],
};
const { Items: items } = await host.dynamo.client.send(new ScanCommand({ TableName: host.table }));
let text = JSON.stringify({ at, runs, tags, queues, items }, null, 1);
for (const [name, one] of Object.entries({ source, destination, busy })) {
  text = text.replaceAll(one.host, `${name}.test:5000`);
}
process.stdout.write(`${text}\n`, () => process.exit(0));
