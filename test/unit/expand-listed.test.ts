import { describe, expect, it } from 'vitest';
import type { Rule } from '../../core/model/rule.ts';
import { type ExpandedTag, expandRule } from '../../core/pipeline/expand.ts';
import { planRule } from '../../core/pipeline/plan.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { ociError, type Script, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const found = {
  headers: { 'docker-content-digest': digest, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
};
const nothingSynced = {
  read: async () => undefined,
  async *readRepository() {},
} as Partial<Ledger> as Ledger;

/** A rule that copies all tags of the source's one repository. */
const allTags = (source: { host: string }, destination: { host: string }): Rule => ({
  id: 'a',
  from: { registry: source.host, repository: 'app' },
  select: { kind: 'all' },
  to: [{ registry: destination.host, repository: 'mirror/app' }],
  platforms: { platforms: [], os: [], arch: [] },
});

/** Expands a rule that takes all tags of a source with one tag, `1`. */
async function expand(script: { source: Script; destination: Script }): Promise<ExpandedTag[]> {
  await using source = await scriptedRegistry((request, response) =>
    request.url.includes('/tags/list') ? { body: '{"tags":["1"]}' } : script.source(request, response),
  );
  await using destination = await scriptedRegistry(script.destination);
  await using client = testClient();
  const rule = allTags(source, destination);
  const deps = { client, ledger: nothingSynced, signal: new AbortController().signal, now: Date.now };
  const tags: ExpandedTag[] = [];
  for await (const page of expandRule(deps, rule)) tags.push(...page.tags);
  return tags;
}

const nowhere: Script = ({ url }) => (url === '/v2/' ? undefined : ociError(404, 'NAME_UNKNOWN'));

describe('a rule that takes none of the tags of its source', () => {
  it('says so, once', async () => {
    await using source = await scriptedRegistry(({ url }) =>
      url.includes('/tags/list') ? { body: '{"tags":["1","2"]}' } : undefined,
    );
    await using destination = await scriptedRegistry(nowhere);
    const warnings: string[] = [];
    await using client = testClient({ onWarning: (message) => void warnings.push(message) });
    const deps = { client, ledger: nothingSynced, signal: new AbortController().signal, now: Date.now };
    const select = { kind: 'filter' as const, match: [{ kind: 'glob' as const, text: 'v*' }], except: [] };
    const rule = { ...allTags(source, destination), select };
    for (let run = 0; run < 2; run += 1) {
      for await (const { tags } of expandRule(deps, rule)) expect(tags).toEqual([]);
    }
    expect(warnings).toEqual([`the rule a takes no tag of ${source.host}/app, which has 2: see tranship explain`]);
  });
});

describe('a tag that the source lists', () => {
  it('is asked for by GET where HEAD says that it is not there', async () => {
    const body = JSON.stringify({ schemaVersion: 2, config: {}, layers: [] });
    const source: Script = ({ method, url }) => {
      if (url === '/v2/') return undefined;
      return method === 'HEAD' ? { status: 404 } : { body };
    };
    const [tag] = await expand({ source, destination: nowhere });
    expect(tag).toMatchObject({ digest: expect.stringMatching(/^sha256:/), destinations: [{ state: 'new' }] });
  });

  it('stays in the report where the source does not have it', async () => {
    const [tag] = await expand({ source: nowhere, destination: nowhere });
    expect(tag).toMatchObject({
      digest: undefined,
      error: { code: 'not-found', class: 'permanent', message: 'the source lists the tag 1 and does not have it' },
      destinations: [{ state: 'unknown' }],
    });
  });
});

describe('a destination', () => {
  it.each([401, 403])(
    'that answers %i to what it has is not known, which is no failure of the rule',
    async (status) => {
      const destination: Script = ({ url }) => (url === '/v2/' ? undefined : { status });
      const [tag] = await expand({ source: ({ url }) => (url === '/v2/' ? undefined : found), destination });
      expect(tag).toMatchObject({ digest, destinations: [{ state: 'unknown' }] });
    },
  );
});

describe('a destination that gives no answer', () => {
  const record = { sourceDigest: digest, destinationDigest: digest, platforms: '', at: 1, how: 'copied' as const };

  it('has in step what the ledger says; only the other tags become tasks', async () => {
    await using source = await scriptedRegistry(({ url }) =>
      url.includes('/tags/list') ? { body: '{"tags":["known","new"]}' } : found,
    );
    await using destination = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : { status: 500 }));
    await using client = testClient();
    const from = { registry: source.host, repository: 'app' };
    const to = { registry: destination.host, repository: 'mirror/app' };
    const ledger = {
      ...nothingSynced,
      async *readRepository() {
        yield [{ ...record, source: { ...from, tag: 'known' }, destination: { ...to, tag: 'known' } }];
      },
    };
    const rule: Rule = {
      id: 'a',
      from,
      select: { kind: 'all' },
      to: [to],
      platforms: { platforms: [], os: [], arch: [] },
    };
    const states: Record<string, string> = {};
    for await (const { tags } of expandRule(
      { client, ledger, signal: new AbortController().signal, now: Date.now },
      rule,
    )) {
      for (const tag of tags) states[tag.source.tag ?? ''] = tag.destinations[0]?.state ?? '';
    }
    expect(states).toEqual({ known: 'in-step', new: 'unknown' });
  });
});

describe('the task of a planned tag', () => {
  it('is as old as the lists that it was planned by: what another run brings meanwhile is newer', async () => {
    let clock = 1000;
    await using source = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : url.includes('/tags/list') ? { body: '{"tags":["1"]}' } : found,
    );
    await using destination = await scriptedRegistry(({ url }) => {
      if (url === '/v2/') return undefined;
      clock += 10;
      return ociError(404, 'NAME_UNKNOWN');
    });
    await using client = testClient();
    const rule = allTags(source, destination);
    const sent: Task[] = [];
    const deps = {
      client,
      ledger: { ...nothingSynced, recordPage: async () => {} } as unknown as Ledger,
      signal: new AbortController().signal,
      now: () => clock,
      queue: { send: async (tasks: readonly Task[]) => void sent.push(...tasks), sendPlans: async () => {} },
      emit: () => {},
    };
    await planRule(deps as unknown as Parameters<typeof planRule>[0], {
      message: { version: 1, runId: 'r', ruleId: 'a', attempt: 0 },
      rule,
      force: false,
    });
    expect(clock).toBeGreaterThan(1000);
    expect(sent.map(({ plannedAt }) => plannedAt)).toEqual([1000]);
  });
});
