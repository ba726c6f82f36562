import { setTimeout as sleep } from 'node:timers/promises';
import { urlToken } from '../test/support/announce.ts';
import { openWorkplace } from '../test/support/command.ts';
import { type Distribution, startDistribution } from '../test/support/distribution.ts';
import { type Serving, startRelay, startServe } from '../test/support/serve.ts';
import { pushImage } from '../testing/images.ts';
import { pushBig } from './content.ts';
import { describeMachine } from './table.ts';

/**
 * How long after a push to CNCF distribution its tag is at two others, by distribution's own notifications and
 * `tranship serve` as a process of its own: alone, and while a scheduled run moves large layers. From the answer to the
 * pusher's last request to the first HEAD that finds the tag.
 *
 *     npx node bench/push-latency.ts [pushes] [MiB of the scheduled run]
 */
const pushes = Number(process.argv[2] ?? 100);
const bulkMib = Number(process.argv[3] ?? 6144);
const PUSH_EVERY_MS = 200;
const LOOK_EVERY_MS = 5;
const LONGEST_MS = 30_000;
const LAYER_BYTES = 300_000;

const relay = await startRelay();
const [source, first, second, bulk] = (await Promise.all([
  startDistribution({ notifyUrl: `${relay.url}/hooks/cncf/${urlToken}` }),
  startDistribution(),
  startDistribution(),
  startDistribution(),
])) as [Distribution, Distribution, Distribution, Distribution];
const destinations = [`${first.url}/v2/mirror/app`, `${second.url}/v2/copy/app`];

async function isThere(repository: string, tag: string): Promise<boolean> {
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const answer = await fetch(`${repository}/manifests/${tag}`, { method: 'HEAD', headers: { accept } });
  return answer.ok;
}

/** Milliseconds from now until the tag is at a destination. */
async function arrival(repository: string, tag: string): Promise<number> {
  const start = performance.now();
  while (!(await isThere(repository, tag))) {
    if (performance.now() - start > LONGEST_MS) throw new Error(`${tag} is not there after ${LONGEST_MS} ms`);
    await sleep(LOOK_EVERY_MS);
  }
  return performance.now() - start;
}

/** Pushes at a steady pace, whatever the answers take. */
async function measure(name: string): Promise<number[]> {
  const arrivals: Array<Promise<number[]>> = [];
  for (let at = 0; at < pushes; at++) {
    const tag = `${name}-${at}`;
    const layers = [{ seed: tag, bytes: LAYER_BYTES }];
    const pushed = pushImage({ url: source.url, repository: 'team/app' }, { seed: tag, tag, layers });
    arrivals.push(pushed.then(() => Promise.all(destinations.map((repository) => arrival(repository, tag)))));
    await sleep(PUSH_EVERY_MS);
  }
  return (await Promise.all(arrivals)).flat().sort((a, b) => a - b);
}

function row(name: string, sorted: number[]): string {
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const cells = [at(0.5), at(0.9), at(0.99), at(1)].map((ms) => String(Math.round(ms)));
  return `| ${name} | ${cells.join(' | ')} |`;
}

const place = openWorkplace([source, first, second, bulk].map(({ host }) => host));
place.write('webhooks.yaml', `cncf: { dialect: distribution, token: ${urlToken}, allow: ["${source.host}"] }\n`);
const pushed = `  - { from: "${source.host}/team/app", to: ["${first.host}/mirror/app", "${second.host}/copy/app"] }\n`;
const bulkRepositories = Array.from({ length: bulkMib / 256 }, (_, index) => `bulk/app${index}`);
const scheduled = bulkRepositories
  .map((name) => `  - { from: "${bulk.host}/${name}", to: "${first.host}/${name}", schedule: "* * * * * *" }\n`)
  .join('');

/** With the default gathering time, which startServe shortens. */
async function serve(rules: string): Promise<Serving> {
  place.write('tranship.yaml', `version: 1\nrules:\n${rules}`);
  const serving = await startServe(place, ['--debounce', '1s']);
  relay.to(serving.url);
  return serving;
}

let serving: Serving | undefined;
try {
  console.log(`${describeMachine()}; ${pushes} pushes, one each ${PUSH_EVERY_MS} ms, two destinations\n`);
  console.log('| ms from push to present | median | p90 | p99 | longest |\n| --- | ---: | ---: | ---: | ---: |');
  serving = await serve(pushed);
  console.log(row('nothing else to do', await measure('alone')));
  await serving.kill('SIGTERM');

  const { bytes } = await pushBig({ url: bulk.url }, { mib: bulkMib, repositories: bulkRepositories });
  serving = await serve(pushed + scheduled);
  await sleep(2000);
  const under = await measure('beside');
  const ended = Object.keys(await serving.metric('tranship_run_duration_seconds_count'));
  console.log(row(`beside a scheduled run of ${(bytes / 2 ** 30).toFixed(1)} GiB`, under));
  const isOver = ended.some((labels) => labels.includes('schedule'));
  if (isOver) console.log('\nthe scheduled run ended before the last push: give it more');
  await serving.kill('SIGTERM');
} finally {
  await serving?.kill('SIGKILL');
  place.remove();
  await Promise.all([relay.close(), source.close(), first.close(), second.close(), bulk.close()]);
}
