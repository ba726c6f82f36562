import { ECRClient } from '@aws-sdk/client-ecr';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Rule, TagSelection } from '../../core/model/rule.ts';
import { expandRule } from '../../core/pipeline/expand.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import { listTagDigests, pagesWorth } from '../../core/registry/tag-digests.ts';
import { createEcrImages } from '../../core/registry/vendors/ecr-images.ts';
import { vendorByChallenge, vendorByName } from '../../core/registry/vendors/vendor.ts';
import { ecrCalls } from '../../functions/aws/ecr-images.ts';
import { startJsonService } from '../support/json-service.ts';
import { testClient } from '../support/scripted-registry.ts';
import { type VendorName, type VendorRegistry, vendorRegistry, vendorStandIns } from '../support/vendor-registries.ts';

const vendors = (Object.keys(vendorStandIns) as VendorName[]).filter((name) => name !== 'GitHub');

/** Expands a rule whose tags were all copied when they were what they are now; says what the source was asked. */
async function expand(source: VendorRegistry, select: TagSelection = { kind: 'all' }, verify = false) {
  const { client, registry, repository, requests } = source;
  const to = { registry: 'mirror.example.com', repository: 'copy' };
  const digests = new Map(source.digests);
  const ledger = {
    async *readRepository() {
      yield [...digests].map(([tag, digest]) => ({
        source: { registry, repository, tag },
        destination: { ...to, tag },
        sourceDigest: digest,
        destinationDigest: digest,
        platforms: '',
        at: 1,
        how: 'copied' as const,
      }));
    },
  } as Partial<Ledger> as Ledger;
  const rule: Rule = {
    id: 'a',
    from: { registry, repository },
    select,
    to: [to],
    platforms: { platforms: [], os: [], arch: [] },
    referrers: { types: [] },
  };
  requests.length = 0;
  const options = { verify, onlyWhatDecides: !verify };
  const found = new Map<string, string | undefined>();
  const states = new Map<string, number>();
  for await (const { tags } of expandRule(
    { client, ledger, signal: new AbortController().signal, now: Date.now },
    rule,
    options,
  )) {
    for (const tag of tags) {
      found.set(tag.source.tag ?? '', tag.digest);
      const state = tag.destinations[0]?.state ?? '';
      states.set(state, (states.get(state) ?? 0) + 1);
    }
  }
  const atSource = requests.filter((request) => !request.includes(' mirror.example.com '));
  return {
    found,
    states: Object.fromEntries(states),
    heads: atSource.filter((request) => request.startsWith('HEAD ')).length,
    lists: atSource.filter((request) => request.includes('/v2/') && request.endsWith('/tags/list')).length,
    pages: atSource.filter((request) => !request.startsWith('HEAD ') && !request.endsWith('/tags/list')).length,
  };
}

describe.each(vendors)('the digests of many tags at %s', (name) => {
  // ACR asks for a token of its own with its first answer.
  const pages = { 'Google Artifact Registry': 0, 'Azure Container Registry': 4 }[name as string] ?? 3;

  it('are read in pages, and only a sample of the tags is asked for', async () => {
    await using source = await vendorRegistry(name, 250);
    const { found, ...rest } = await expand(source);
    expect(rest).toEqual({ states: { 'in-step': 250 }, lists: 1, heads: 3, pages });
    expect(found).toEqual(source.digests);
  });

  it('are asked for tag by tag where few are wanted, or all are to be verified', async () => {
    await using source = await vendorRegistry(name, 250);
    const few = await expand(source, { kind: 'tags', tags: ['v00001', 'v00002'] });
    expect(few).toMatchObject({ heads: 2, pages: 0, lists: 0 });
    const verified = await expand(
      source,
      { kind: 'filter', match: [{ kind: 'glob', text: 'v0000*' }], except: [] },
      true,
    );
    expect(verified).toMatchObject({ heads: 10, pages: 0, lists: 1 });
  });
});

describe('a list of digests', () => {
  it('is not read for tags that are at no destination, which are copied whatever they are', async () => {
    await using source = await vendorRegistry('Docker Hub', 250);
    source.atMirror = new Set(['v00001', 'v00002']);
    expect(await expand(source)).toMatchObject({ states: { 'in-step': 2, new: 248 }, heads: 2, pages: 0 });
  });

  it('that was refused is not asked for again', async () => {
    await using source = await vendorRegistry('Quay', 250);
    source.api = { status: 403, body: { error_message: 'Unauthorized' } };
    expect(await expand(source)).toMatchObject({ states: { 'in-step': 250 }, heads: 250, pages: 1 });
    expect(await expand(source)).toMatchObject({ states: { 'in-step': 250 }, heads: 250, pages: 0 });
  });

  it.each([429, 503])('that does not come for the moment (%i) leaves the API alone for a while', async (status) => {
    await using source = await vendorRegistry('Quay', 250);
    source.api = { status, body: { detail: 'Rate limit exceeded' } };
    expect(await expand(source)).toMatchObject({ states: { 'in-step': 250 }, heads: 250, pages: 1 });
    expect(await expand({ ...source, repository: 'team/other' })).toMatchObject({ heads: 250, pages: 0 });
  });

  it('of which one is wrong is not believed', async () => {
    await using source = await vendorRegistry('Docker Hub', 250);
    const wrong = `sha256:${'f'.repeat(64)}`;
    source.api = (real) => JSON.parse(JSON.stringify(real).replaceAll(/"digest":"sha256:\d+"/g, `"digest":"${wrong}"`));
    const first = await expand(source);
    expect(first).toMatchObject({ states: { 'in-step': 250 }, heads: 253, pages: 3 });
    expect(first.found).toEqual(source.digests);
    expect(await expand(source)).toMatchObject({ heads: 250, pages: 0 });
  });

  it('without some tags leaves those to be asked for', async () => {
    await using source = await vendorRegistry('Docker Hub', 250);
    // Hub has no digest for tags from before 2021; others come with what is none.
    source.api = (real) =>
      JSON.parse(
        JSON.stringify(real)
          .replaceAll(/"digest":"sha256:0*[12]?\d"/g, '"digest":null')
          .replace('v00100', '../x'),
      );
    const { heads, found } = await expand(source);
    expect(heads).toBe(30 + 1 + 3);
    expect(found).toEqual(source.digests);
  });

  it('that never ends is given up', async () => {
    await using source = await vendorRegistry('Quay', 250);
    source.api = { body: { tags: [], has_additional: true } };
    expect(await expand(source)).toMatchObject({ states: { 'in-step': 250 }, heads: 250, pages: 4 });
  });

  it.each<[string, unknown]>([
    ['a web page', '<html>'],
    ['another shape', { results: 'none' }],
    ['nothing', null],
  ])('that is %s changes nothing', async (_what, body) => {
    await using source = await vendorRegistry('Docker Hub', 30);
    source.api = { body };
    expect(await expand(source, { kind: 'tags', tags: [...source.digests.keys()] })).toMatchObject({
      states: { 'in-step': 30 },
      heads: 30,
      pages: 1,
    });
  });
});

describe('the digests of many tags at Amazon ECR', () => {
  const repository = { registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com', repository: 'team/app' };
  const all = Array.from({ length: 2500 }, (_, at) => ({
    imageTag: `v${at}`,
    imageDigest: `sha256:${String(at).padStart(64, '0')}`,
  }));

  it("are read by ECR's API, where the login is that of the role", async () => {
    const asked: unknown[] = [];
    const ecr = await startJsonService({
      ListImages(input) {
        asked.push(input);
        const from = Number(input.nextToken ?? 0);
        const next = from + 1000 < all.length ? { nextToken: String(from + 1000) } : {};
        return { imageIds: all.slice(from, from + 1000), ...next };
      },
    });
    onTestFinished(() => ecr.close());
    const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
    const api = new ECRClient({ endpoint: ecr.endpoint, region: 'eu-west-1', credentials });
    const tags = new Set(all.map(({ imageTag }) => imageTag));
    const digestsBy = async (usesRole: boolean) => {
      const ecrImages = createEcrImages({ takes: async () => usesRole, ...ecrCalls(() => api) });
      await using client = testClient({ ecrImages });
      return listTagDigests(client, repository, { tags, total: tags.size }, undefined);
    };
    expect((await digestsBy(false)).size).toBe(0);
    expect(asked).toEqual([]);
    expect([...(await digestsBy(true))]).toEqual(all.map(({ imageTag, imageDigest }) => [imageTag, imageDigest]));
    const fields = { registryId: '123456789012', repositoryName: 'team/app', filter: { tagStatus: 'TAGGED' } };
    expect(asked).toEqual(
      [undefined, '1000', '2000'].map((nextToken) => ({
        ...fields,
        maxResults: 1000,
        ...(nextToken && { nextToken }),
      })),
    );
  });
});

it.each<[wanted: number, total: number | undefined, pageSize: number, pages: number]>([
  [7, 7, 1000, 0],
  [8, 8, 1000, 2],
  [250, 250, 100, 4],
  [30, 5000, 100, 0],
  [100, 5000, 100, 51],
  [40, undefined, 100, 10],
  [9, 20_000, Number.POSITIVE_INFINITY, 1],
])('for %i of %s tags in pages of %i at most %i pages are read', (wanted, total, pageSize, pages) => {
  expect(pagesWorth(wanted, total, pageSize)).toBe(pages);
});

describe('the vendor of a registry', () => {
  const bearer = (realm: string, service?: string) => ({ kind: 'bearer' as const, realm, service });
  it.each([
    ['docker.io', { kind: 'none' as const }, 'docker-hub'],
    ['123456789012.dkr.ecr.eu-west-1.amazonaws.com', { kind: 'basic' as const }, 'ecr'],
    ['public.ecr.aws', bearer('https://public.ecr.aws/token/', 'public.ecr.aws'), undefined],
    ['eu.gcr.io', { kind: 'none' as const }, 'google'],
    ['evilgcr.io', { kind: 'none' as const }, undefined],
    ['europe-west3-docker.pkg.dev', { kind: 'none' as const }, 'google'],
    ['team.azurecr.io', { kind: 'none' as const }, 'acr'],
    ['team.azurecr.io.evil.example', { kind: 'none' as const }, undefined],
    ['quay.io', { kind: 'none' as const }, 'quay'],
    ['registry.gitlab.com', { kind: 'none' as const }, 'gitlab'],
    ['ghcr.io', bearer('https://ghcr.io/token', 'ghcr.io'), undefined],
    ['hub.corp.example:8443', bearer('https://hub.corp.example:8443/service/token', 'harbor-registry'), 'harbor'],
    ['registry.corp.example', bearer('/jwt/auth', 'container_registry'), 'gitlab'],
    ['registry.corp.example', bearer('https://registry.corp.example/v2/auth', 'registry.corp.example'), 'quay'],
    ['registry.corp.example', bearer('https://[/', 'harbor-registry'), undefined],
  ])('%s is known by its name or its challenge', (registry, auth, vendor) => {
    expect(vendorByName(registry) ?? vendorByChallenge(registry, auth)).toBe(vendor);
  });
});
