/**
 * `node bench/screenshots.ts [directory]`: pictures of each page of the status page with 0, 3 and 100,000 tags, light and dark,
 * and how long its first paint takes. Makes the pictures in docs/pictures again. Needs Chromium on the PATH and a build.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { Failure } from '../core/model/errors.ts';
import type { Rule } from '../core/model/rule.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import type { Outcome } from '../core/pipeline/ports/runs.ts';
import { openState } from '../machine/state/state.ts';
import { openOwnHost, serveStatusPage } from '../machine/ui/ui-server.ts';
import { startBrowser } from '../test/support/browser.ts';

const HOUR_MS = 3_600_000;
const token = 'token-of-the-pictures';
const out = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'tranship-pictures-'));
const pictures = join(import.meta.dirname, '../docs/pictures');

/** Which of them are in docs/, by tags, colours, width and page. */
const shown = new Set([
  '100000-light-1280-overview',
  '100000-dark-1280-overview',
  '3-light-1280-tag',
  '100000-light-1280-failures',
  '100000-dark-360-overview',
]);

const denied: Failure = {
  class: 'permanent',
  code: 'denied',
  message: 'mirror.example.com refuses it: requested access to the resource is denied',
  registry: 'mirror.example.com',
  operation: 'put manifest',
  status: 403,
};
const refused: Failure = {
  class: 'transient',
  code: 'network',
  message: 'connect ECONNREFUSED 10.4.3.2:443',
  registry: 'registry.example.org',
  operation: 'start upload',
};

function ruleOf(from: string, to: string): Rule {
  const split = (name: string) => {
    const slash = name.indexOf('/');
    return { registry: name.slice(0, slash), repository: name.slice(slash + 1) };
  };
  const platforms = { platforms: [], os: [], arch: [] };
  return { id: from, from: split(from), select: { kind: 'all' }, to: [split(to)], platforms };
}

const small = [ruleOf('docker.io/acme/app', 'mirror.example.com/team/app')];
const large = [
  ruleOf('docker.io/library/nginx', 'mirror.example.com/mirror/nginx'),
  ruleOf('docker.io/library/node', 'mirror.example.com/mirror/node'),
  ruleOf('docker.io/library/python', 'registry.example.org/mirror/python'),
  ruleOf(
    'registry.k8s.io/an-organisation-with-a-long-name/with/a/deep/path/kube-state-metrics',
    'registry.example.org/mirrors/registry.k8s.io/an-organisation-with-a-long-name/with/a/deep/path/kube-state-metrics',
  ),
];

const tagOf = (n: number) =>
  `${1 + Math.floor(n / 1000)}.${Math.floor(n / 10) % 100}.${n % 10}${n % 3 ? '' : '-alpine'}`;
const digestOf = (n: number) =>
  `sha256:${(n * 2_654_435_761 + 97).toString(16).padStart(16, 'a').slice(-16).repeat(4)}`;

/** Runs of the last three weeks: the first one copied all tags, the others some, and one goes on. */
async function fill(ledger: Ledger, rules: readonly Rule[], tags: number, now: number): Promise<void> {
  const each = Math.floor(tags / rules.length);
  for (let days = 20; days >= 0; days -= 1) {
    const startedAt = now - days * 24 * HOUR_MS - HOUR_MS;
    const runId = days === 0 ? 'run-of-today' : new Date(startedAt).toISOString();
    await ledger.startRun({ id: runId, trigger: 'schedule 0 3 * * *', startedAt, rules: rules.length });
    for (const [place, { id: ruleId, from, to }] of rules.entries()) {
      const failing =
        days === 0 ? Math.min(each - 1, [3, 0, 0, 24][place] ?? 0, tags === 3 ? 1 : 24) : days % 6 === 2 ? 2 : 0;
      const copied = days === 20 ? each : Math.min(each, 2 + ((days * 7 + place * 3) % 11));
      const numbers = [
        ...Array.from({ length: copied }, (_, n) => ({ n, ok: true })),
        ...Array.from({ length: failing }, (_, n) => ({ n: tags === 3 ? 2 : n + 40, ok: false })),
      ];
      await ledger.recordPage({ runId, ruleId, after: '', planned: each, unchanged: each - numbers.length });
      const destination = to[0]!;
      await inParts(numbers, async ({ n, ok }) => {
        const target = { registry: destination.registry, repository: destination.repository, tag: tagOf(n) };
        const source = { ...from, tag: tagOf(n) };
        const at = startedAt + 1_000 + n;
        const sourceDigest = digestOf(n * 4 + place);
        const outcome: Outcome = {
          ...{ runId, ruleId, source, destination: target, at, mounted: 2, present: 1 },
          ...(ok
            ? { result: 'copied', bytes: Math.round(6_000_000 / (1 + (n % 10))), sourceDigest }
            : { result: 'failed', bytes: 0, failure: place === 3 ? refused : denied }),
        };
        await ledger.recordOutcome(outcome);
        if (!ok) return;
        const record = { sourceDigest, destinationDigest: sourceDigest, platforms: '', at, how: 'copied' as const };
        await ledger.write({ ...record, source, destination: target });
      });
    }
    await ledger.endRun(runId, 'done', startedAt + 90_000 + days * 1_000);
  }
  await ledger.park('docker.io', now + 40 * 60_000, 'its quota of pulls is spent');
  await ledger.noteQuota({ registry: 'docker.io', limit: 200, remaining: 0, windowMs: 6 * HOUR_MS, at: now - 90_000 });
  if (tags > 3) {
    const [rule] = rules;
    const run = { id: 'run-that-goes-on', trigger: 'by-hand', startedAt: now - 130_000, rules: rules.length };
    await ledger.startRun(run);
    await ledger.recordPage({ runId: run.id, ruleId: rule!.id, after: '', planned: 900, unchanged: 600, next: 'x' });
  }
}

async function inParts<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += 500) await Promise.all(items.slice(at, at + 500).map(work));
}

async function takePictures(browser: Browser, tags: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tranship-pictures-state-'));
  const rules = tags === 0 ? [] : tags === 3 ? small : large;
  const now = Date.now();
  const state = openState(directory);
  if (tags > 0) {
    await fill(state.ledger, rules, tags, now);
    state.pushEvents.write(pushEvents(now), now);
  }
  const own = openOwnHost({
    version: '0',
    directory,
    copying: { userAgent: 'pictures', allowedRealms: [], blobsAtOnce: 1, workers: 1 },
    credentials: { lookup: async () => undefined },
    limits: { proc: 1, retries: 0, maxWaitMs: 0 },
    rules: tags === 0 ? undefined : rules,
    whyNoRules: 'there is no rules file here: give one with --rules or --images',
    emit: () => {},
  });
  const host = { ...own.host, name: '/var/lib/tranship' };
  const page = { directory: join(import.meta.dirname, '../dist/ui'), hostNames: [], token, port: 0 };
  const server = await serveStatusPage({ host, ...page });
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
      const open = await context.newPage();
      await takeEach(open, `${server.url}/ui/#token=${token}`, `${tags}-${colorScheme}-${width}`, rules);
      await context.close();
    }
  }
  await server.close();
  await own.close();
  state.close();
  rmSync(directory, { recursive: true });
}

async function takeEach(page: Page, url: string, prefix: string, rules: readonly Rule[]): Promise<void> {
  await page.goto(url);
  await page.locator('.verdict').waitFor();
  const paint = await page.evaluate(`performance.getEntriesByName('first-contentful-paint')[0]?.startTime`);
  const whole = await page.evaluate('performance.now()');
  console.log(
    `${prefix}: first paint after ${Math.round(Number(paint))} ms, the overview after ${Math.round(Number(whole))} ms`,
  );
  const rule = rules[0];
  const repository = rule === undefined ? 'r.example/none' : `${rule.to[0]?.registry}/${rule.to[0]?.repository}`;
  const tag = `${repository}:${rules.length > 1 ? tagOf(40) : tagOf(2)}`;
  const pages: Record<string, string> = {
    overview: '',
    rules: 'rules',
    rule: `rule?id=${encodeURIComponent(rule?.id ?? 'none')}`,
    repositories: 'tags',
    tags: `tags?repository=${encodeURIComponent(repository)}`,
    tag: `tag?destination=${encodeURIComponent(tag)}`,
    runs: 'runs',
    run: 'run?id=run-of-today',
    failures: 'failures',
    pushes: 'pushes',
    registries: 'registries',
  };
  for (const [name, hash] of Object.entries(pages)) {
    await page.evaluate(`location.hash = ${JSON.stringify(`#/${hash}`)}`);
    await page.locator('[aria-busy]').first().waitFor({ state: 'detached' });
    await page.locator('main h1, main .empty').first().waitFor();
    // The plots are drawn, and bars have grown, a moment later.
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(out, `${prefix}-${name}.png`), fullPage: true });
    if (!shown.has(`${prefix}-${name}`)) continue;
    const height = Number(await page.evaluate('Math.min(document.documentElement.scrollHeight, 1000)'));
    const width = page.viewportSize()?.width ?? 0;
    const cut = await page.screenshot({ fullPage: true, clip: { x: 0, y: 0, width, height } });
    writeFileSync(join(pictures, `${prefix}-${name}.webp`), await toWebp(page.context().browser()!, cut));
  }
}

/** A third of the size of a PNG. The browser has the encoder. */
async function toWebp(browser: Browser, png: Buffer): Promise<Buffer> {
  const page = await browser.newPage();
  const url = await page.evaluate(`(async () => {
    const image = new Image();
    image.src = 'data:image/png;base64,${png.toString('base64')}';
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.9);
  })()`);
  await page.close();
  return Buffer.from(String(url).split(',')[1] ?? '', 'base64');
}

function pushEvents(now: number) {
  const accepted = { sender: 'harbor', status: 200 };
  return [
    { at: now - 7_000_000, ...accepted, result: 'queued', what: `docker.io/acme/app:2.0@${digestOf(5)}` },
    {
      at: now - 400_000,
      ...accepted,
      result: 'unmatched',
      what: 'core:8080/team/else:1',
      why: 'no rule takes it',
      mend: 'where core:8080 is another name of harbor.example.com, write registry: harbor.example.com at this sender',
    },
    { at: now - 90_000, sender: 'ci', status: 401, result: 'refused', what: '', why: 'the signature is wrong' },
  ];
}

mkdirSync(out, { recursive: true });
mkdirSync(pictures, { recursive: true });
const browser = await startBrowser();
for (const tags of [0, 3, 100_000]) await takePictures(browser, tags);
await browser.close();
console.log(`the pictures are in ${out}`);
