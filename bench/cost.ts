import { deployBetweenRegistries } from '../test/support/aws-host/between-registries.ts';
import { pushImage } from '../testing/images.ts';
import { movedTerabyte, unchangedMillion, workBill } from './aws-bill.ts';

/**
 * What runs of the deployed stack take, as docs/cost.md reckons with: invocations and their time by function, calls by
 * service. On the test host of the stack, between two registries on this machine.
 *
 *     npx node bench/cost.ts [tags]
 */
const tagCount = Number(process.argv[2] ?? 100);
const stack = await deployBetweenRegistries(['cost']);

async function measure(what: string): Promise<void> {
  const { host } = stack;
  host.calls.length = 0;
  host.invocations.length = 0;
  const run = await stack.ended(await stack.start('cost'), 300_000);
  await host.settle();
  const { planned, copied, unchanged } = run.counts;
  console.log(`${what}: ${planned} tags, ${copied} copied, ${unchanged} unchanged`);
  const byFunction = Map.groupBy(host.invocations, (invocation) => invocation.function.replace(/Function.*$/, ''));
  for (const [name, list] of byFunction) {
    const ms = list.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    const total = ms.reduce((sum, one) => sum + one, 0);
    console.log(`  ${name}: ${list.length} invocations, median ${ms[ms.length >> 1]} ms, together ${total} ms`);
  }
  const byCall = Map.groupBy(host.calls, ({ service, operation }) => `${service} ${operation}`);
  for (const [call, list] of [...byCall].sort()) console.log(`  ${call}: ${list.length}`);
}

for (let n = 0; n < tagCount; n += 1) {
  const layers = [
    { seed: 'base', bytes: 200_000 },
    { seed: `own ${n}`, bytes: 20_000 },
  ];
  await pushImage(stack.at('cost'), { seed: `tag ${n}`, tag: `v${n}`, layers });
}
await measure('first run');
await measure('nothing has changed');
for (let n = 0; n < 3; n += 1) await pushImage(stack.at('cost'), { seed: `new ${n}`, tag: `new${n}` });
await measure('three new tags');
await stack.close();
const dollars = (work: Parameters<typeof workBill>[0]) => `$${workBill(work).toFixed(3)}`;
console.log(
  `a million unchanged tags: ${dollars(unchangedMillion(1024))}; a terabyte: ${dollars(movedTerabyte(1024))}`,
);
