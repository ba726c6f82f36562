import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { digestOf } from '../core/model/digest.ts';
import { OCI_INDEX } from '../core/model/media-types.ts';
import { EVERY_PLATFORM } from '../core/model/platform.ts';
import type { Rule } from '../core/model/rule.ts';
import { planRule } from '../core/pipeline/plan.ts';
import { closeRegistryClient, createRegistryClient } from '../core/registry/client.ts';
import { createLedger } from '../functions/aws/ledger.ts';
import { emulatorIdentity, startDynamo } from '../test/support/dynamo.ts';

/**
 * Plans a rule of many tags as the planner function does: against a scripted registry, the DynamoDB emulator, and a
 * deadline after which it goes on in a new invocation. Prints what an invocation takes, and what a thousand unchanged
 * tags cost.
 *
 *     npx node bench/plan-scale.ts [tags] [seconds an invocation has]
 */
const tagCount = Number(process.argv[2] ?? 100_000);
const limitSeconds = Number(process.argv[3] ?? 60);

/** Tags and digests made up on the spot; nothing is stored. */
async function startScriptedRegistry() {
  const tags = Array.from({ length: tagCount }, (_, n) => `v${String(n).padStart(7, '0')}`);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://registry');
    const [, tag] = /\/manifests\/(.+)$/.exec(url.pathname) ?? [];
    if (tag !== undefined) {
      response.writeHead(200, {
        'content-type': OCI_INDEX,
        'content-length': 1000,
        'docker-content-digest': digestOf(Buffer.from(tag)),
      });
      response.end();
      return;
    }
    if (!url.pathname.endsWith('/tags/list')) {
      response.end('{}');
      return;
    }
    const last = url.searchParams.get('last');
    const start = last === null ? 0 : Number(last.slice(1)) + 1;
    const page = tags.slice(start, start + 1000);
    const next = start + 1000 < tagCount ? { link: `<${url.pathname}?n=1000&last=${page.at(-1)}>; rel="next"` } : {};
    response.writeHead(200, { 'content-type': 'application/json', ...next });
    response.end(JSON.stringify({ name: 'x', tags: page }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** In a thread of its own: what the registry and the emulator keep is not the planner's heap. */
if (!isMainThread) {
  const { endpoint, table } = await startDynamo();
  parentPort?.postMessage({ host: await startScriptedRegistry(), endpoint, table });
  await new Promise(() => {});
}
const services = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
const [{ host, endpoint, table }] = (await once(services, 'message')) as [
  Record<'host' | 'endpoint' | 'table', string>,
];
const dynamo = new DynamoDBClient({ ...emulatorIdentity, endpoint });
const capacity = { reads: 0, writes: 0, requests: 0 };
dynamo.middlewareStack.add(
  (next) => async (args) => {
    const input = args.input as { ReturnConsumedCapacity?: string };
    input.ReturnConsumedCapacity = 'TOTAL';
    const result = await next(args);
    const { ConsumedCapacity } = result.output as { ConsumedCapacity?: { CapacityUnits?: number } };
    const isRead = 'KeyConditionExpression' in input || ('Key' in input && !('UpdateExpression' in input));
    capacity.requests += 1;
    capacity[isRead ? 'reads' : 'writes'] += ConsumedCapacity?.CapacityUnits ?? 0;
    return result;
  },
  { step: 'initialize' },
);
const ledger = createLedger({ client: dynamo, table });
const client = createRegistryClient({ credentials: { lookup: async () => ({ insecure: true }) } });
const rule: Rule = {
  id: 'scale',
  from: { registry: host, repository: 'source/app' },
  select: { kind: 'all' },
  to: [{ registry: host, repository: 'mirror/app' }],
  platforms: EVERY_PLATFORM,
};

for (const [what, runId] of [
  ['the mirror is there, the ledger is empty', 'first'],
  ['nothing has changed', 'second'],
] as const) {
  Object.assign(capacity, { reads: 0, writes: 0, requests: 0 });
  const startedAt = Date.now();
  let sent = 0;
  let after: string | undefined;
  let invocations = 0;
  let longest = 0;
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().heapUsed);
  }, 50);
  await ledger.startRun({ id: runId, trigger: 'bench', startedAt, rules: 1 });
  do {
    const began = Date.now();
    invocations += 1;
    const message = { version: 1 as const, runId, ruleId: rule.id, attempt: 0, ...(after !== undefined && { after }) };
    const { next } = await planRule(
      {
        client,
        ledger,
        sendPlans: async () => {},
        queue: {
          async send(tasks) {
            sent += tasks.length;
          },
        },
        emit: () => {},
        now: Date.now,
        signal: new AbortController().signal,
      },
      { message, rule, force: false, deadline: began + limitSeconds * 1000, runStartedAt: startedAt },
    );
    after = next;
    longest = Math.max(longest, Date.now() - began);
  } while (after !== undefined);
  clearInterval(sampler);
  const perThousand = (value: number) => (value / (tagCount / 1000)).toFixed(2);
  console.log(
    `${what}: ${tagCount} tags, ${sent} tasks, ${((Date.now() - startedAt) / 1000).toFixed(0)} s in ${invocations} invocations, the longest ${(longest / 1000).toFixed(1)} s`,
  );
  console.log(
    `  heap at most ${(peak / 1024 / 1024).toFixed(0)} MiB; per 1,000 tags ${perThousand(capacity.requests)} DynamoDB requests, ${perThousand(capacity.reads)} RCU, ${perThousand(capacity.writes)} WCU`,
  );
}

await closeRegistryClient(client);
await services.terminate();
