import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { listTags } from '../../core/registry/tags.ts';
import { ociError, repositoryAt, type Script, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const path = '/v2/team/app/tags/list';

/** All pages, and the warnings on the way. */
async function tagsOf(script: Script) {
  await using registry = await scriptedRegistry(script);
  const warnings: string[] = [];
  await using client = testClient({ onWarning: (message) => warnings.push(message) });
  const pages: string[][] = [];
  for await (const page of listTags(client, repositoryAt(registry))) pages.push(page);
  return { pages, warnings, log: registry.log(), host: registry.host };
}

const page = (tags: unknown, next?: string) => ({
  headers: next === undefined ? {} : { link: `<${next}>; rel="next"` },
  body: JSON.stringify({ name: 'team/app', tags }),
});

describe('listTags', () => {
  it('follows links over short and empty pages to the end', async () => {
    const { pages, log } = await tagsOf(({ url }) => {
      if (url === `${path}?n=1000`) return page(['a', 'b'], `${path}?n=1000&last=b`);
      if (url === `${path}?n=1000&last=b`) return page([], '?last=c%2Fd&token=x%3D');
      return page(['z']);
    });
    expect(pages).toEqual([['a', 'b'], [], ['z']]);
    expect(log.at(-1)).toBe(`GET ${path}?last=c%2Fd&token=x%3D`);
  });

  it('follows an absolute link to the same host, with the path that it knows', async () => {
    let host = '';
    const { log } = await tagsOf(({ url, headers }) => {
      host = headers.host ?? '';
      return url.endsWith('last=b') ? page(['c']) : page(['b'], `http://${host}/prefix/team/app/tags/list?last=b`);
    });
    expect(log.at(-1)).toBe(`GET ${path}?last=b`);
  });

  it.each([
    ['another host', 'http://registry.internal:8080/v2/team/app/tags/list?n=1&last=b'],
    ['an attacker', 'https://evil.example/?n=1&last=b'],
    ['a path prefix', '/repository/docker/v2/team/app/tags/list?n=1&last=b#top'],
    ['no URL at all', 'http://[bad/tags?n=1&last=b'],
  ])('takes only the query of a link that names %s, and stays at the registry', async (_what, link) => {
    const { pages, log } = await tagsOf(({ url }) => (url.endsWith('last=b') ? page(['c']) : page(['b'], link)));
    expect(pages).toEqual([['b'], ['c']]);
    expect(log.at(-1)).toBe(`GET ${path}?n=1&last=b`);
  });

  it('gives up at a link without a query', async () => {
    await expect(tagsOf(() => page(['a'], '/v2/team/app/tags/list'))).rejects.toMatchObject({ code: 'protocol' });
  });

  it('leaves the size of pages to a registry that refuses ours', async () => {
    const { pages, log } = await tagsOf(({ url }) => {
      if (url === `${path}?n=1000`) return ociError(400, 'PAGINATION_NUMBER_INVALID');
      return url === path ? page(['a'], '?n=1&last=a') : page(['b']);
    });
    expect(pages.flat()).toEqual(['a', 'b']);
    expect(log).toHaveLength(3);
  });

  it('says so where a web page comes in place of the list', async () => {
    await expect(tagsOf(() => ({ body: '<!DOCTYPE html><title>Log in</title>' }))).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('web page'),
    });
  });

  it('asks a destination with a token that may push', async () => {
    await using registry = await scriptedRegistry(({ url, headers }) => {
      if (url.startsWith('/token')) return { body: JSON.stringify({ token: 't' }) };
      if (headers.authorization !== undefined) return page(['a']);
      return { status: 401, headers: { 'www-authenticate': 'Bearer realm="/token"' } };
    });
    await using client = testClient();
    await listTags(client, repositoryAt(registry), { access: 'push' }).next();
    expect(registry.log()[0]).toBe('GET /token?scope=repository%3Ateam%2Fapp%3Apull%2Cpush');
  });

  it('reads a page that a gateway has compressed without being asked', async () => {
    const { pages } = await tagsOf(() => ({
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync('{"tags":["a"]}'),
    }));
    expect(pages).toEqual([['a']]);
  });

  it('bounds what a compressed page becomes', async () => {
    const body = gzipSync(Buffer.alloc(64 * 1024 * 1024, 32));
    await expect(tagsOf(() => ({ headers: { 'content-encoding': 'gzip' }, body }))).rejects.toMatchObject({
      code: 'limit-exceeded',
    });
  });

  it('shows a registry that warns without end fifty warnings, and says that there are more', async () => {
    const names = Array.from({ length: 80 }, (_, index) => `not/a/tag/${index}`);
    const { warnings, host } = await tagsOf(() => page(names));
    expect(warnings).toHaveLength(51);
    expect(warnings.at(-1)).toBe(`further warnings about ${host} are not shown`);
  });

  it('gives up a list that turns in a circle', async () => {
    await expect(
      tagsOf(({ url }) => (url.endsWith('last=b') ? page(['a'], '?last=a') : page(['b'], '?last=b'))),
    ).rejects.toMatchObject({ class: 'permanent', code: 'protocol', mend: expect.stringContaining('name the tags') });
  });

  it('ends with an empty page, though it leads to itself', async () => {
    const { pages, log } = await tagsOf(({ url }) => page(url.endsWith('last=b') ? [] : ['b'], '?last=b'));
    expect(pages).toEqual([['b'], []]);
    expect(log).toHaveLength(2);
  });

  it('gives up a list with more tags than anyone has', async () => {
    let last = 0;
    const tags = Array.from({ length: 100_001 }, (_, index) => `t${index}`);
    await expect(
      tagsOf(() => {
        last += 1;
        return page(tags, `?last=${last}`);
      }),
    ).rejects.toMatchObject({ class: 'permanent', code: 'limit-exceeded' });
  });

  it('leaves out what is no tag, and says so but for what is known to be listed', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const { pages, warnings, host } = await tagsOf(() =>
      page(['ok', null, digest, '_uploads', '../../etc', 'ok\u001b[2J', 7]),
    );
    expect(pages).toEqual([['ok']]);
    expect(warnings).toEqual([
      `${host}/team/app lists "../../etc", which is no tag; it is left out`,
      `${host}/team/app lists "ok [2J", which is no tag; it is left out`,
      `${host}/team/app lists "number", which is no tag; it is left out`,
    ]);
  });

  it.each([
    ['goes on', ['z'], 1001],
    ['is the same again', undefined, 1000],
    ['is refused', 400, 1000],
  ])('asks for what follows a full page without a link: it %s', async (_what, rest, count) => {
    const full = Array.from({ length: 1000 }, (_, index) => `t${index}`);
    const { pages, log } = await tagsOf(({ url }) => {
      if (url === '/v2/') return undefined;
      if (!url.includes('last=') || rest === undefined) return page(full);
      return typeof rest === 'number' ? { status: rest } : page(rest);
    });
    expect(pages.flat()).toHaveLength(count);
    expect(log).toEqual([`GET ${path}?n=1000`, `GET ${path}?n=1000&last=t999`]);
  });

  it('takes no list for an empty one', async () => {
    expect((await tagsOf(() => page(null))).pages).toEqual([[]]);
    await expect(tagsOf(({ url }) => (url === '/v2/' ? undefined : page({})))).rejects.toMatchObject({
      code: 'protocol',
    });
  });

  it('takes no error for an empty list, though its status is 200', async () => {
    const answer = { ...ociError(200, 'NAME_UNKNOWN', 'no such name') };
    await expect(tagsOf(({ url }) => (url === '/v2/' ? undefined : answer))).rejects.toMatchObject({
      message: expect.stringContaining('status 200 (NAME_UNKNOWN: no such name)'),
    });
  });

  it('says that a repository is not there', async () => {
    await expect(
      tagsOf(({ url }) => (url === '/v2/' ? undefined : ociError(404, 'NAME_UNKNOWN'))),
    ).rejects.toMatchObject({
      class: 'permanent',
      code: 'not-found',
    });
  });

  it('asks again for one page, not for all', async () => {
    let ill = true;
    const { pages, log } = await tagsOf(({ url }) => {
      if (url === '/v2/') return undefined;
      if (url === `${path}?n=1000`) return page(['a'], '?last=a');
      ill = !ill;
      return ill ? page(['b']) : { status: 502 };
    });
    expect(pages).toEqual([['a'], ['b']]);
    expect(log).toHaveLength(3);
  });

  it('passes on warnings of the registry, each once', async () => {
    const { warnings, host } = await tagsOf(({ url }) => {
      const answer = url.includes('last') ? page(['b']) : page(['a'], '?last=a');
      return { ...answer, headers: { ...answer.headers, warning: '299 - "moves on Monday"' } };
    });
    expect(warnings).toEqual([`${host} warns: moves on Monday`]);
  });
});
