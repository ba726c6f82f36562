import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../core/model/digest.ts';
import { headBlob, openBlob, readBlob } from '../../core/registry/blobs.ts';
import { bytesOf } from '../support/byte-sources.ts';
import {
  login,
  ociError,
  repositoryAt,
  scriptedRegistry,
  testClient,
  withLogin,
} from '../support/scripted-registry.ts';

const content = Buffer.from('the bytes of a layer');
const digest = digestOf(content);
const blobPath = `/v2/team/app/blobs/${digest}`;

describe('openBlob', () => {
  it('reads a blob', async () => {
    await using registry = await scriptedRegistry(() => ({
      headers: { 'content-length': String(content.length) },
      body: content,
    }));
    await using client = testClient();
    const { body, size, offset } = await openBlob(client, repositoryAt(registry), digest);
    expect({ size, offset }).toEqual({ size: content.length, offset: 0 });
    expect(await bytesOf(body)).toEqual(content);
    expect(registry.requests[0]?.headers['accept-encoding']).toBe('identity');
  });

  it('reads on from an offset, or says that it begins at 0', async () => {
    for (const knowsRange of [true, false]) {
      await using registry = await scriptedRegistry(({ headers }) => {
        if (!knowsRange || headers.range !== 'bytes=4-') return { body: content };
        const range = `bytes 4-${content.length - 1}/${content.length}`;
        return { status: 206, headers: { 'content-range': range }, body: content.subarray(4) };
      });
      await using client = testClient();
      const { body, offset } = await openBlob(client, repositoryAt(registry), digest, { offset: 4 });
      expect(offset).toBe(knowsRange ? 4 : 0);
      expect(await bytesOf(body)).toEqual(content.subarray(offset));
    }
  });

  it('refuses a part that was not asked for', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 206, headers: { 'content-range': 'bytes 2-5/20' }, body: 'abcd' },
    );
    await using client = testClient();
    for (const offset of [0, 4]) {
      await expect(openBlob(client, repositoryAt(registry), digest, { offset })).rejects.toMatchObject({
        class: 'transient',
        code: 'protocol',
      });
    }
  });

  it('takes the whole as a part', async () => {
    const { length } = content;
    await using registry = await scriptedRegistry(() => ({
      status: 206,
      headers: { 'content-range': `bytes 0-${length - 1}/${length}` },
      body: content,
    }));
    await using client = testClient();
    const { body, offset } = await openBlob(client, repositoryAt(registry), digest);
    expect({ offset, bytes: await bytesOf(body) }).toEqual({ offset: 0, bytes: content });
    expect(await readBlob(client, repositoryAt(registry), { digest, size: length })).toEqual(content);
  });

  it('says who named a host that DNS does not know', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 307, headers: { location: 'http://store.invalid/b' } },
    );
    await using client = testClient();
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      mend: expect.stringMatching(/^127\.0\.0\.1:\d+ sends its clients to store\.invalid/),
    });
  });

  it('may be tried again where a part is refused with 400', async () => {
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : { status: 400 }));
    await using client = testClient();
    const openFrom = (offset: number) => openBlob(client, repositoryAt(registry), digest, { offset });
    await expect(openFrom(4)).rejects.toMatchObject({ class: 'transient', code: 'refused' });
    await expect(openFrom(0)).rejects.toMatchObject({ class: 'permanent', code: 'refused' });
  });

  it('says which blob is missing, and does not try twice', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : ociError(404, 'BLOB_UNKNOWN'),
    );
    await using client = testClient();
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      class: 'permanent',
      code: 'blob-unknown',
      message: expect.stringContaining(digest),
      mend: expect.stringContaining('push the image to the source again'),
    });
    expect(registry.requests).toHaveLength(1);
  });

  it('leaves the login behind where it is redirected to another origin', async () => {
    await using store = await scriptedRegistry(() => ({ body: content }));
    await using registry = await scriptedRegistry(
      withLogin(({ url }) =>
        url === blobPath ? { status: 307, headers: { location: `${store.url}/b?X-Amz-Signature=s` } } : { status: 200 },
      ),
    );
    await using client = testClient({ login });
    const { body } = await openBlob(client, repositoryAt(registry), digest);
    expect(await bytesOf(body)).toEqual(content);
    expect(store.log()).toEqual(['GET /b?X-Amz-Signature=s']);
    expect(store.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('keeps the login where it is redirected on the same origin', async () => {
    await using registry = await scriptedRegistry(
      withLogin(({ url }) =>
        url === blobPath ? { status: 302, headers: { location: '/elsewhere' } } : { body: content },
      ),
    );
    await using client = testClient({ login });
    expect(await bytesOf((await openBlob(client, repositoryAt(registry), digest)).body)).toEqual(content);
  });

  it('never logs in at a redirect target', async () => {
    await using store = await scriptedRegistry(({ url }) =>
      url === '/b' ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } } : undefined,
    );
    await using registry = await scriptedRegistry(
      withLogin(({ url }) => (url === blobPath ? { status: 307, headers: { location: `${store.url}/b` } } : undefined)),
    );
    await using client = testClient({ login });
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      class: 'transient',
      code: 'denied',
    });
    expect(store.log()).toEqual(['GET /b']);
  });

  it('does not log in at home again once it was sent away and back', async () => {
    let home = '';
    await using store = await scriptedRegistry(() => ({ status: 307, headers: { location: `${home}/inside` } }));
    await using registry = await scriptedRegistry((request, response) =>
      request.url === '/inside'
        ? { status: 403 }
        : withLogin(() => ({ status: 307, headers: { location: `${store.url}/b` } }))(request, response),
    );
    home = registry.url;
    await using client = testClient({ login });
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({ code: 'denied' });
    const inside = registry.requests.filter(({ url }) => url === '/inside');
    expect(inside.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('does not follow redirects without end, nor to the metadata service', async () => {
    let location = blobPath;
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 302, headers: { location } },
    );
    await using client = testClient();
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({ code: 'protocol' });
    expect(registry.requests).toHaveLength(6);
    for (location of ['http://169.254.169.254/latest', 'http://[::ffff:169.254.169.254]/', 'http://2852039166/']) {
      await expect(openBlob(client, repositoryAt(registry), digest), location).rejects.toMatchObject({
        class: 'permanent',
        code: 'unsafe',
      });
    }
  });

  it('ends with `aborted` when it is told to', async () => {
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : 'answered'));
    await using client = testClient();
    const controller = new AbortController();
    const opening = openBlob(client, repositoryAt(registry), digest, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(opening).rejects.toMatchObject({ class: 'transient', code: 'aborted' });
  });

  it('ends with `timeout` when no answer comes', async () => {
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : 'answered'));
    await using client = testClient({ stallMs: 50 });
    await expect(openBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({
      class: 'transient',
      code: 'timeout',
    });
  });
});

describe('readBlob', () => {
  it.each(['gzip', 'x-gzip'])(
    'takes what is stored compressed as it is, and %s off what a gateway adds',
    async (header) => {
      const stored = gzipSync(content);
      for (const wanted of [stored, content]) {
        await using registry = await scriptedRegistry(() => ({
          headers: { 'content-encoding': header },
          body: stored,
        }));
        await using client = testClient();
        const blob = { digest: digestOf(wanted), size: wanted.length };
        expect(await readBlob(client, repositoryAt(registry), blob)).toEqual(wanted);
      }
    },
  );
});

describe('headBlob', () => {
  const size = String(content.length);

  it('tells the size, or that it is not there', async () => {
    let answer: { status: number; headers?: Record<string, string> } = {
      status: 200,
      headers: { 'content-length': size },
    };
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : answer));
    await using client = testClient();
    expect(await headBlob(client, repositoryAt(registry), digest)).toBe(content.length);
    answer = { status: 404 };
    expect(await headBlob(client, repositoryAt(registry), digest)).toBeUndefined();
    answer = { status: 500 };
    await expect(headBlob(client, repositoryAt(registry), digest)).rejects.toMatchObject({ code: 'server-error' });
  });

  it.each([
    ['a length', { status: 200, headers: { 'transfer-encoding': 'chunked' } }],
    ['permission (a URL that is signed for GET)', { status: 403 }],
  ])('asks for one byte where the HEAD lacks %s', async (_what, head) => {
    await using registry = await scriptedRegistry(({ url, method, headers }) => {
      if (url === '/v2/') return undefined;
      if (method === 'HEAD') return head;
      return headers.range === 'bytes=0-0'
        ? { status: 206, headers: { 'content-range': `bytes 0-0/${size}` }, body: 't' }
        : { status: 400 };
    });
    await using client = testClient();
    expect(await headBlob(client, repositoryAt(registry), digest)).toBe(content.length);
  });
});
