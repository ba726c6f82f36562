import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { urlToken } from '../test/support/announce.ts';
import { openWorkplace } from '../test/support/command.ts';
import { type Serving, startServe } from '../test/support/serve.ts';
import { describeMachine } from './table.ts';

/**
 * A flood of push events to `tranship serve`, each of a tag of its own, at a steady pace whatever the answers take; in
 * the middle the process is killed and started again. Then each that was answered with 200 must be in the queue. The
 * tags are announced without a digest and gathered for an hour, so that nothing is copied meanwhile.
 *
 *     npx node bench/push-load.ts [deliveries a second] [seconds] [--max-queue]
 */
const perSecond = Number(process.argv[2] ?? 1000);
const seconds = Number(process.argv[3] ?? 30);
const maxQueue = Number(process.argv[4] ?? 100_000);
const TICK_MS = 10;

interface Answer {
  tag: string;
  /** HTTP status, or what became of the connection. */
  status: string;
  ms: number;
}

const place = openWorkplace();
place.write('images.yaml', 'registry.example.com/team/app: mirror.example.com/app\n');
place.write('webhooks.yaml', `ci: { dialect: plain, token: ${urlToken}, allow: [registry.example.com] }\n`);
const flags = ['--debounce', '1h', '--max-queue', String(maxQueue)];
const peaks: number[] = [];
const rss: string[] = [];

/** MiB, by the operating system's account. */
function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
}

async function deliver(url: string, agent: Agent, tag: string): Promise<Answer> {
  const start = performance.now();
  const body = JSON.stringify({ image: `registry.example.com/team/app:${tag}` });
  const headers = { 'content-type': 'application/json' };
  const path = `${url}/hooks/ci/${urlToken}`;
  const options = { method: 'POST', dispatcher: agent, headers, body, headersTimeout: 10_000 } as const;
  try {
    const answer = await request(path, options);
    await answer.body.dump();
    return { tag, status: String(answer.statusCode), ms: performance.now() - start };
  } catch {
    return { tag, status: 'no answer', ms: performance.now() - start };
  }
}

let serving: Serving | undefined;
try {
  serving = await startServe(place, flags);
  const { url } = serving;
  const agent = new Agent({ connections: 200, pipelining: 1 });
  const answers: Array<Promise<Answer>> = [];
  const killAt = (perSecond * seconds) / 2;
  let restarted: Promise<void> | undefined;
  const start = performance.now();
  for (let sent = 0; sent < perSecond * seconds; await sleep(TICK_MS)) {
    const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - start) / 1000) * perSecond));
    while (sent < due) answers.push(deliver(url, agent, `t${sent++}`));
    if (sent >= killAt && restarted === undefined) {
      const killed = serving;
      peaks.push(memory(killed.pid, 'VmHWM'));
      restarted = (async () => {
        await killed.kill('SIGKILL');
        serving = await startServe(place, [...flags, '--listen', new URL(url).host]);
      })();
    }
    const second = Math.floor((performance.now() - start) / 1000);
    if (second >= rss.length) {
      try {
        rss.push(String(memory(serving.pid, 'VmRSS')));
      } catch {
        rss.push('-');
      }
    }
  }
  const sentIn = (performance.now() - start) / 1000;
  const ended = await Promise.all(answers);
  await restarted;
  peaks.push(memory(serving.pid, 'VmHWM'));
  const times = ended.filter(({ status }) => status !== 'no answer').map(({ ms }) => ms);
  times.sort((a, b) => a - b);
  const at = (share: number) => Math.round(times[Math.floor(share * (times.length - 1))] ?? 0);
  await serving.kill('SIGKILL');
  const file = readdirSync(join(place.directory, 'state')).find((name) => name.endsWith('.db')) ?? '';
  const database = new DatabaseSync(join(place.directory, 'state', file), { readOnly: true });
  const queued = new Set(
    database
      .prepare('SELECT body FROM queue')
      .all()
      .map(({ body }) => JSON.parse(String(body)).source.tag as string),
  );
  const taken = ended.filter(({ status }) => status === '200');
  const lost = taken.filter(({ tag }) => !queued.has(tag)).length;
  const byStatus = Map.groupBy(ended, ({ status }) => status);
  console.log(`${describeMachine()}; ${ended.length} deliveries in ${sentIn.toFixed(1)} s, --max-queue ${maxQueue}\n`);
  for (const [status, list] of byStatus) console.log(`${status}: ${list.length}`);
  console.log(`answered within ${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${at(1)} ms (longest)`);
  console.log(`in the queue: ${queued.size}; answered with 200 and not in it: ${lost}`);
  console.log(`peak RSS MiB: ${peaks.join(' before the kill, ')} after; each second: ${rss.join(' ')}`);
  if (lost > 0) process.exitCode = 1;
} finally {
  await serving?.kill('SIGKILL');
  place.remove();
}
