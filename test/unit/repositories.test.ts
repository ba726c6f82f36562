import type { ServerResponse } from 'node:http';
import { ECRClient } from '@aws-sdk/client-ecr';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { indexRules, matchAnnouncement } from '../../core/announce/match.ts';
import { OCI_MANIFEST } from '../../core/model/media-types.ts';
import { formatTarget } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import { costRules } from '../../core/pipeline/cost.ts';
import { discoverPaths } from '../../core/pipeline/discover.ts';
import { planRule } from '../../core/pipeline/plan.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { listRepositories } from '../../core/registry/repositories.ts';
import { createEcrImages } from '../../core/registry/vendors/ecr-images.ts';
import { loadRules } from '../../core/rules/load-rules.ts';
import { pathIn, ruleFor, rulesInto } from '../../core/rules/wildcard.ts';
import { ecrCalls } from '../../functions/aws/ecr-images.ts';
import { openMemoryState } from '../../machine/state/state.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { openCopying } from '../support/copying.ts';
import { startJsonService } from '../support/json-service.ts';
import { ociError, type ScriptedAnswer, scriptedRegistry, testClient } from '../support/scripted-registry.ts';
import { type VendorName, vendorRegistry, vendorStandIns } from '../support/vendor-registries.ts';

const signal = new AbortController().signal;
const opened: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

function rulesOf(...lines: string[]): Rule[] {
  return loadRules(['version: 1', 'rules:', ...lines].join('\n'), { file: 'tranship.yaml', env: { TO: 'r.io' } }).rules;
}

function ruleOf(line: string): Rule {
  const [rule] = rulesOf(`  - ${line}`);
  if (rule === undefined) throw new Error('no rule');
  return rule;
}

async function names(list: AsyncIterable<string[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const page of list) all.push(...page);
  return all;
}

describe('a rule for many repositories', () => {
  it.each([
    ['{ from: h.example/library/*, to: r.io/mirror/* }', 'h.example/library', 'r.io/mirror', 'one'],
    ['{ from: h.example/a/b/**, to: $TO/* }', 'h.example/a/b', 'r.io/', 'any'],
    ['{ from: h.example/**, to: r.io/m/* }', 'h.example/', 'r.io/m', 'any'],
    ['{ from: bitnami/*, to: r.io/m/* }', 'docker.io/bitnami', 'r.io/m', 'one'],
    ['{ from: docker.io/*, to: r.io/m/* }', 'docker.io/library', 'r.io/m', 'one'],
  ])('is read from %s', (line, from, to, depth) => {
    const rule = ruleOf(line);
    const places = [rule.from, ...rule.to].map(({ registry, repository }) => `${registry}/${repository}`);
    expect([...places, rule.discover?.depth, rule.discover?.max]).toEqual([from, to, depth, 1000]);
  });

  it.each([
    ['{ from: h.example/library/*, to: r.io/mirror }', 'the source names many repositories, and this is one'],
    ['{ from: h.example/*/app, to: r.io/mirror }', 'h.example/*/app'],
    ['{ from: h.example/*/app/*, to: r.io/* }', 'a * stands at its end only'],
    ['{ from: h.example/app, to: r.io/app, repositories: { max: 3 } }', 'the source is one repository'],
    ['{ from: h.example/app, to: r.io/* }', 'r.io/*'],
    ['{ from: h.example/a/*, to: r.io/a/*, repositories: { match: "/(/" } }', 'cannot be'],
    ['{ from: h.example/a/*, to: r.io/a/*, repositories: { max: 0 } }', 'max must be at least 1'],
  ])('is refused as %s', (line, what) => {
    expect(() => ruleOf(line)).toThrow(what);
  });

  it.each<[string, string, string | undefined]>([
    ['{ from: h.example/lib/*, to: r.io/m/* }', 'lib/app', 'app'],
    ['{ from: h.example/lib/*, to: r.io/m/* }', 'lib/a/b', undefined],
    ['{ from: h.example/lib/**, to: r.io/m/* }', 'lib/a/b', 'a/b'],
    ['{ from: h.example/lib/**, to: r.io/m/* }', 'lib', undefined],
    ['{ from: h.example/lib/**, to: r.io/m/* }', 'library/a', undefined],
    ['{ from: h.example/lib/**, to: r.io/m/* }', 'lib/A', undefined],
    ['{ from: h.example/**, to: r.io/m/* }', 'a/b', 'a/b'],
    // What it has written itself.
    ['{ from: h.example/**, to: h.example/mirror/* }', 'mirror/a', undefined],
    ['{ from: h.example/**, to: h.example/mirror/* }', 'a', 'a'],
    ['{ from: h.example/lib/*, to: r.io/m/*, repositories: { match: "app-*" } }', 'lib/app-1', 'app-1'],
    ['{ from: h.example/lib/*, to: r.io/m/*, repositories: { match: "app-*" } }', 'lib/other', undefined],
    ['{ from: h.example/lib/*, to: r.io/m/*, repositories: { except: [/-test$/] } }', 'lib/a-test', undefined],
  ])('%s takes of %s %s', (line, repository, path) => {
    expect(pathIn(ruleOf(line), { registry: 'h.example', repository })).toBe(path);
    expect(pathIn(ruleOf(line), { registry: 'other.example', repository })).toBeUndefined();
  });

  it('keeps the part of the name below its path, and knows what it would write where', () => {
    const rule = ruleOf('{ from: h.example/lib/**, to: [r.io/m/*, s.io/*], tags: "1.*", delete: mirror }');
    const { discover, from, to, id } = ruleFor(rule, 'a/b');
    expect([discover, from.repository, to.map((one) => one.repository), id]).toEqual([
      undefined,
      'lib/a/b',
      ['m/a/b', 'a/b'],
      rule.id,
    ]);
    const into = (registry: string, repository: string) => rulesInto(rule, { registry, repository });
    expect(into('r.io', 'm/x').map((one) => one.from.repository)).toEqual(['lib/x']);
    expect(into('s.io', 'x').map((one) => one.from.repository)).toEqual(['lib/x']);
    expect(into('r.io', 'other/x')).toEqual([]);
  });

  it('takes the push of a repository that it has not seen, and plans it where one tag cannot decide', () => {
    const rules = indexRules(
      rulesOf(
        '  - { name: all, from: h.example/lib/*, to: r.io/m/*, delete: mirror }',
        '  - { name: newest, from: h.example/**, to: s.io/*, tags: { newest: 2 } }',
      ),
    );
    const options = { runId: 'run', now: 1, settleUntil: 2 };
    const event = { repository: { registry: 'h.example', repository: 'lib/new' }, tag: '1', dialect: 'plain' } as const;
    const pushed = matchAnnouncement({ kind: 'push', ...event }, rules, options);
    expect(pushed).toMatchObject({ kind: 'work', replan: [{ ruleId: 'newest', repository: 'lib/new' }] });
    const [task] = pushed.kind === 'work' ? pushed.tasks : [];
    expect([task?.ruleId, ...(task?.destinations ?? []).map(formatTarget)]).toEqual(['all', 'r.io/m/new:1']);
    const gone = matchAnnouncement({ kind: 'delete', ...event }, rules, options);
    expect(gone).toMatchObject({ tasks: [], replan: [{ ruleId: 'all', repository: 'new', deletions: true }] });
    const deeper = { ...event, repository: { registry: 'x.example', repository: 'lib/new' } };
    expect(matchAnnouncement({ kind: 'push', ...deeper }, rules, options)).toMatchObject({ reason: 'unmatched' });
  });
});

describe('the repositories of a registry', () => {
  const team = Array.from({ length: 130 }, (_, at) => `team/app-${String(at).padStart(3, '0')}`);

  it.each(Object.keys(vendorStandIns) as VendorName[])('of %s are listed', async (vendor) => {
    await using source = await vendorRegistry(vendor, 0);
    source.repositories = vendor === 'Google Artifact Registry' ? [...team, 'team/sub/deep'] : team;
    const found = await names(listRepositories(source.client, { registry: source.registry, repository: 'team' }));
    const folders = vendor === 'Google Artifact Registry' ? ['team/sub', 'team/sub/deep'] : [];
    expect(found.sort()).toEqual([...team, ...folders].sort());
  });

  it('of ECR are listed by its own API, with the role', async () => {
    const asked: unknown[] = [];
    const service = await startJsonService({
      DescribeRepositories(input) {
        asked.push(input);
        const isFirst = input.nextToken === undefined;
        return {
          repositories: [{ repositoryName: isFirst ? 'team/a' : 'team/b' }],
          ...(isFirst && { nextToken: 'more' }),
        };
      },
    });
    opened.push(service.close);
    const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
    const client = new ECRClient({ endpoint: service.endpoint, region: 'eu-west-1', credentials });
    const ecrImages = createEcrImages({ takes: async () => true, ...ecrCalls(() => client) });
    await using registries = testClient({ ecrImages });
    const place = { registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com', repository: 'team' };
    expect(await names(listRepositories(registries, place))).toEqual(['team/a', 'team/b']);
    expect(asked).toMatchObject([{ registryId: '123456789012', maxResults: 1000 }, { nextToken: 'more' }]);
  });

  it('are listed page by page, and only names of repositories are taken', async () => {
    const pages = [
      {
        body: JSON.stringify({ repositories: ['a', 'B', null, '../x'] }),
        headers: { link: '</v2/_catalog?last=a>; rel="next"' },
      },
      {
        body: JSON.stringify({ repositories: null }),
        headers: { link: '<http://evil.example/v2/_catalog?last=b>; rel="next"' },
      },
      { body: JSON.stringify({ repositories: ['b/c'] }) },
    ];
    await using registry = await scriptedRegistry(({ url }) =>
      url.startsWith('/v2/_catalog') ? pages.shift() : undefined,
    );
    await using client = testClient();
    expect(await names(listRepositories(client, { registry: registry.host, repository: '' }))).toEqual(['a', 'b/c']);
    expect(registry.log()).toEqual(['GET /v2/_catalog?n=1000', 'GET /v2/_catalog?last=a', 'GET /v2/_catalog?last=b']);
  });

  it.each<[string, ScriptedAnswer, string]>([
    ['is shut', ociError(401, 'UNAUTHORIZED'), 'unauthorized'],
    ['is not there', { status: 404, body: '404 page not found' }, 'not-found'],
    ['is a web page', { body: '<html>' }, 'protocol'],
    ['is of another form', { body: '{"repositories": "all"}' }, 'protocol'],
    [
      'has no end',
      { body: '{"repositories": ["a"]}', headers: { link: '</v2/_catalog?n=1000>; rel="next"' } },
      'protocol',
    ],
    ['is empty', { body: '{"repositories": []}' }, 'not-found'],
  ])('fail the rule where their list %s', async (_what, answer, code) => {
    await using registry = await scriptedRegistry(({ url }) => (url.startsWith('/v2/_catalog') ? answer : undefined));
    await using client = testClient();
    const rule = ruleOf(`{ from: ${registry.host}/team/*, to: r.io/m/* }`);
    await expect(discoverPaths({ client, signal }, rule)).rejects.toMatchObject({ code });
  });

  const catalog = (repositories: string[], link?: string) => ({
    body: JSON.stringify({ repositories }),
    headers: link === undefined ? {} : { link: `</v2/_catalog${link}>; rel="next"` },
  });

  async function catalogOf(answer: (query: string) => ScriptedAnswer) {
    await using registry = await scriptedRegistry(({ url }) =>
      url.startsWith('/v2/_catalog') ? answer(url.slice('/v2/_catalog'.length)) : undefined,
    );
    await using client = testClient();
    const found = await names(listRepositories(client, { registry: registry.host, repository: '' }));
    return { found, log: registry.log().map((line) => line.replace('GET /v2/_catalog', '')) };
  }

  const full = Array.from({ length: 1000 }, (_, at) => `app-${at}`);

  it.each<[string, ScriptedAnswer, number]>([
    ['goes on', catalog(['z']), 1001],
    ['is the same again', catalog(full), 1000],
    ['is refused', { status: 400 }, 1000],
  ])('are asked for behind a full page of the catalog without a link: it %s', async (_what, rest, count) => {
    const { found, log } = await catalogOf((query) => (query.includes('last=') ? rest : catalog(full)));
    expect(found).toHaveLength(count);
    expect(log).toEqual(['?n=1000', '?n=1000&last=app-999']);
  });

  it('are listed in pages of the size that the registry chooses, where it refuses ours', async () => {
    const { found, log } = await catalogOf((query) => {
      if (query === '?n=1000') return ociError(400, 'PAGINATION_NUMBER_INVALID');
      return query === '' ? catalog(['a'], '?n=1&last=a') : catalog(['b']);
    });
    expect(found).toEqual(['a', 'b']);
    expect(log).toEqual(['?n=1000', '', '?n=1&last=a']);
  });

  it('end with an empty page, though it leads to itself', async () => {
    const { found } = await catalogOf((query) => catalog(query === '?n=1000' ? ['a'] : [], '?n=1000&last=a'));
    expect(found).toEqual(['a']);
  });

  it('are waited for, as long as a registry may take to read its whole storage', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    opened.push(() => void vi.useRealTimers());
    let asked: ServerResponse | undefined;
    await using registry = await scriptedRegistry(({ url }, response) => {
      if (!url.startsWith('/v2/_catalog')) return undefined;
      asked = response;
      return 'answered';
    });
    await using client = testClient();
    const found = names(listRepositories(client, { registry: registry.host, repository: '' }));
    await expect.poll(() => asked).toBeDefined();
    vi.advanceTimersByTime(299_000);
    asked?.end('{"repositories": ["a"]}');
    expect(await found).toEqual(['a']);
    expect(registry.log()).toHaveLength(1);
  });

  it('of a whole GitLab are those of its catalog, all pages of it', async () => {
    await using source = await vendorRegistry('GitLab', 0);
    source.repositories = Array.from({ length: 1500 }, (_, at) => `group/app-${String(at).padStart(4, '0')}`);
    const found = await names(listRepositories(source.client, { registry: source.registry, repository: '' }));
    expect(found).toEqual(source.repositories);
  });

  it('of GitHub are asked for at its API only where the user allows that host', async () => {
    await using source = await vendorRegistry('GitHub', 0);
    source.repositories = team;
    source.client.options.allowedRealms.length = 0;
    await expect(
      names(listRepositories(source.client, { registry: 'ghcr.io', repository: 'team' })),
    ).rejects.toMatchObject({
      code: 'unsafe',
      mend: expect.stringContaining('--allow-realm api.github.com'),
    });
    expect(source.requests).toEqual([]);
  });

  it('of GitHub are the packages of an organisation, or of a user', async () => {
    await using source = await vendorRegistry('GitHub', 0);
    source.repositories = team;
    const found = await names(listRepositories(source.client, { registry: 'ghcr.io', repository: 'team' }));
    expect(found).toEqual(team);
    expect(source.requests.map((request) => request.split(' ').slice(1).join(' '))).toEqual([
      'api.github.com /orgs/team/packages',
      'api.github.com /users/team/packages',
      'api.github.com /users/team/packages',
    ]);
  });
});

/** An image without layers. */
function put({ content }: EmbeddedRegistry, repository: string, tag: string): void {
  const blob = content.addBlob(repository, Buffer.from(tag));
  const config = { mediaType: 'application/octet-stream', digest: blob.digest, size: blob.size };
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [] };
  content.putManifest(repository, tag, OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)));
}

describe('planning a rule for many repositories', () => {
  async function world(count: number, line = '') {
    const source = await startRegistry();
    const destination = await startRegistry();
    const copying = openCopying();
    const state = openMemoryState();
    opened.push(source.close, destination.close, async () => copying[Symbol.asyncDispose](), state.close);
    for (let at = 0; at < count; at += 1)
      source.content.addBlob(`lib/app${String(at).padStart(4, '0')}`, Buffer.from('x'));
    const rule = ruleOf(`{ name: many, from: ${source.host}/lib/*, to: ${destination.host}/m/*${line} }`);
    const plans: PlanMessage[] = [];
    const tasks: Task[] = [];
    const pages: Array<{
      ruleId: string;
      repository?: string;
      after: string;
      repositories?: number;
      next?: string;
      planned: number;
    }> = [];
    const recordPage = async (page: (typeof pages)[number]) => void pages.push(page);
    const deps = {
      client: copying.context.client,
      signal,
      ledger: { ...state.ledger, recordPage },
      queue: { send: async (sent: Task[]) => void tasks.push(...sent) },
      sendPlans: async (sent: PlanMessage[]) => void plans.push(...sent),
      emit: () => {},
      now: Date.now,
    };
    const plan = (message: Partial<PlanMessage> = {}, deadline?: number) => {
      const whole = { version: 1 as const, runId: 'run', ruleId: 'many', attempt: 0, ...message };
      return planRule(deps, { message: whole, rule, force: false, deadline });
    };
    return { source, destination, rule, plans, tasks, pages, plan, copying, state };
  }

  it('sends a message for each, in pages, and goes on behind its cursor where time is over', async () => {
    const { plan, plans, pages } = await world(1000);
    expect(await plan({}, 0)).toEqual({ next: 'app0499' });
    expect(plans).toHaveLength(500);
    expect(plans[0]).toEqual({ version: 1, runId: 'run', ruleId: 'many', repository: 'app0000', attempt: 0 });
    expect(await plan({ after: 'app0499' }, 0)).toEqual({});
    expect(new Set(plans.map(({ repository }) => repository)).size).toBe(1000);
    expect(pages).toMatchObject([
      { ruleId: 'many', after: '', repositories: 500, next: 'app0499' },
      { ruleId: 'many', after: 'app0499', repositories: 500 },
    ]);
    expect(pages.map(({ next }) => next)).toEqual(['app0499', undefined]);
  });

  it('plans each repository by itself, and takes one without tags for an empty one', async () => {
    const { source, destination, plan, tasks, pages } = await world(1);
    put(source, 'lib/app0000', '1');
    await plan({ repository: 'app0000' });
    expect(tasks.map(({ ruleId, destinations }) => [ruleId, ...destinations.map(formatTarget)])).toEqual([
      ['many', `${destination.host}/m/app0000:1`],
    ]);
    await plan({ repository: 'deleted' });
    expect(pages.map(({ ruleId, repository, planned }) => [ruleId, repository, planned])).toEqual([
      ['many', 'app0000', 1],
      ['many', 'deleted', 0],
    ]);
  });

  it('fails where there are more than it allows, or none', async () => {
    const { plan, plans } = await world(3, ', repositories: { max: 2 }');
    await expect(plan()).rejects.toMatchObject({ class: 'permanent', code: 'limit-exceeded' });
    const none = await world(0);
    await expect(none.plan()).rejects.toMatchObject({ class: 'permanent', code: 'not-found' });
    expect(plans).toEqual([]);
  });

  it('is shown by plan with how many there are', async () => {
    const { source, rule, copying, state } = await world(2);
    put(source, 'lib/app0001', '1');
    const { rows, discovered, ruleFailures } = await costRules(
      { copy: copying.context, ledger: state.ledger },
      [rule],
      {
        force: false,
        withInStep: false,
      },
    );
    expect(discovered).toEqual([{ ruleId: 'many', repositories: 2 }]);
    expect(rows).toMatchObject([{ ruleId: 'many', state: 'new', destination: { repository: 'm/app0001' } }]);
    expect(ruleFailures).toEqual([]);
  });
});
