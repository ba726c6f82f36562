import { describe, expect, it } from 'vitest';
import { ensureBlob } from '../../core/copy/blobs.ts';
import { type CopyContext, createArrival, createCopyContext } from '../../core/copy/context.ts';
import { digestOf } from '../../core/model/digest.ts';
import type { BlobPlaces } from '../../core/pipeline/ports/blob-places.ts';
import { type Script, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

const noPlaces: BlobPlaces = {
  findBlobs: async () => [],
  writeBlobs: async () => {},
  forgetBlobs: async () => {},
};

/** Brings one blob to a registry that does as the script says; an upload can be begun, and has no blob at first. */
async function bring(script: Script, content = Buffer.from('a blob')) {
  const blob = { digest: digestOf(content), size: content.length, mediaType: 'application/octet-stream' };
  await using source = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : { body: content }));
  await using destination = await scriptedRegistry((request, response) => {
    if (request.url === '/v2/') return undefined;
    const scripted = script(request, response);
    if (scripted !== undefined) return scripted;
    if (request.method === 'POST') return { status: 202, headers: { location: '/u/1' } };
    if (request.method === 'PATCH') return { status: 202 };
    return { status: request.method === 'PUT' ? 201 : 404 };
  });
  await using client = testClient();
  const context: CopyContext = {
    ...createCopyContext({ client, ledger: noPlaces, blobsAtOnce: 4, emit: () => {} }),
    retry: { attempts: 4, baseMs: 1, capMs: 2 },
    signal: new AbortController().signal,
  };
  const arrival = createArrival({ registry: destination.host, repository: 'team/app', tag: '1' });
  await ensureBlob(context, { registry: source.host, repository: 'team/app' }, blob, [arrival]);
  const count = (method: string) => destination.requests.filter((request) => request.method === method).length;
  return { arrival, count };
}

/** One goes in the body of its PUT, the other in a PATCH. The third is streamed, though it goes in its PUT. */
const blobs = [
  { name: 'small', content: Buffer.from('a blob'), patches: 0 },
  { name: 'large', content: Buffer.alloc(16 * 1024 * 1024 + 1), patches: 1 },
  { name: 'modest', content: Buffer.alloc(300 * 1024), patches: 0 },
];

describe.each(blobs)('the tries of a $name blob', ({ content, patches }) => {
  it('are four uploads where the last PUT always fails', async () => {
    const { arrival, count } = await bring(({ method }) => (method === 'PUT' ? { status: 500 } : undefined), content);
    expect(arrival.error).toMatchObject({ class: 'transient', code: 'server-error' });
    expect({ patches: count('PATCH'), puts: count('PUT') }).toEqual({ patches: 4 * patches, puts: 4 });
  });

  it('end with the one that succeeds', async () => {
    let puts = 0;
    const { arrival, count } = await bring(({ method }) => {
      if (method !== 'PUT') return undefined;
      puts += 1;
      return { status: puts < 3 ? 500 : 201 };
    }, content);
    expect(arrival.error).toBeUndefined();
    expect(arrival.bytes).toBe(content.length);
    expect({ patches: count('PATCH'), puts: count('PUT') }).toEqual({ patches: 3 * patches, puts: 3 });
  });

  // The PUT may go out on an old connection, which is then sent again at once on a new one.
  it('is one where the last PUT was done and its answer lost', async () => {
    let isStored = false;
    const { arrival, count } = await bring(({ method }) => {
      if (method === 'HEAD' && isStored) return { headers: { 'content-length': String(content.length) } };
      if (method !== 'PUT') return undefined;
      isStored = true;
      return 'hang up';
    }, content);
    expect(arrival.error).toBeUndefined();
    expect(count('POST')).toBe(1);
    expect(count('PUT')).toBeLessThanOrEqual(2);
  });
});

describe.each(blobs.filter(({ patches }) => patches === 0))('a $name blob', ({ content }) => {
  it.each([
    [400, 'DIGEST_INVALID'],
    [404, 'BLOB_UNKNOWN'],
    [405, 'UNSUPPORTED'],
    [413, 'SIZE_INVALID'],
    [501, 'UNKNOWN'],
  ])('goes with a PATCH to a registry that answers %i %s to the PUT', async (status, code) => {
    const refusal = { status, body: JSON.stringify({ errors: [{ code }] }) };
    const { arrival, count } = await bring(
      ({ method, body }) => (method === 'PUT' && body.length > 0 ? refusal : undefined),
      content,
    );
    expect(arrival.error).toBeUndefined();
    expect({ patches: count('PATCH'), posts: count('POST') }).toEqual({ patches: 1, posts: 2 });
  });

  it.each([
    [403, 'DENIED'],
    [404, 'BLOB_UPLOAD_UNKNOWN'],
  ])('is not sent in another way after %i %s', async (status, code) => {
    const { arrival, count } = await bring(({ method }) =>
      method === 'PUT' ? { status, body: JSON.stringify({ errors: [{ code }] }) } : undefined,
    );
    expect(arrival.error).toMatchObject({ site: { status } });
    expect(count('PATCH')).toBe(0);
  });
});

describe('the tries of a blob', () => {
  it('are four POSTs where no upload can be begun', async () => {
    const { arrival, count } = await bring(({ method }) => (method === 'POST' ? { status: 502 } : undefined));
    expect(arrival.error).toMatchObject({ class: 'transient', code: 'server-error' });
    expect(count('POST')).toBe(4);
  });

  it('are four HEADs where the destination does not say what it has', async () => {
    const { count } = await bring(({ method }) => (method === 'HEAD' ? { status: 503 } : undefined));
    expect({ heads: count('HEAD'), posts: count('POST') }).toEqual({ heads: 4, posts: 0 });
  });

  it.each([401, 403, 412, 501])('go on where a destination answers %i to whether it has the blob', async (status) => {
    const { arrival, count } = await bring(({ method }) => (['HEAD', 'GET'].includes(method) ? { status } : undefined));
    expect(arrival.error).toBeUndefined();
    expect(count('PUT')).toBe(1);
  });

  it('end with an upload where a destination answers 500 each time to whether it has the blob', async () => {
    const { arrival, count } = await bring(({ method }) => (method === 'HEAD' ? { status: 500 } : undefined));
    expect(arrival.error).toBeUndefined();
    expect([count('HEAD'), count('PUT')]).toEqual([3, 1]);
  });

  it('wait as long as a throttled registry asks, if that is short', async () => {
    let posts = 0;
    const { arrival } = await bring(({ method }) => {
      if (method !== 'POST') return undefined;
      posts += 1;
      return posts === 1 ? { status: 429, headers: { 'retry-after': '0' } } : undefined;
    });
    expect(arrival.error).toBeUndefined();
    expect(posts).toBe(2);
  });

  it('is one where a throttled registry asks for an hour', async () => {
    const { arrival, count } = await bring(({ method }) =>
      method === 'POST' ? { status: 429, headers: { 'retry-after': '3600' } } : undefined,
    );
    expect(arrival.error).toMatchObject({ class: 'throttled', retryAt: expect.any(Number) });
    expect(count('POST')).toBe(1);
  });

  it('end with a time to come back where a throttled registry names none', async () => {
    const { arrival, count } = await bring(({ method }) => (method === 'POST' ? { status: 429 } : undefined));
    expect(arrival.error).toMatchObject({ class: 'throttled', retryAt: expect.any(Number) });
    expect(count('POST')).toBe(4);
  });
});

describe('many blobs', () => {
  it('have no more uploads begun at a time than twice as many as are in flight', async () => {
    const contents = Array.from({ length: 20 }, (_, index) => Buffer.alloc(300 * 1024, index));
    await using source = await scriptedRegistry(({ url }) => {
      const content = contents.find((one) => url.endsWith(digestOf(one)));
      return content && { body: content };
    });
    let open = 0;
    let most = 0;
    await using destination = await scriptedRegistry(({ method, url }) => {
      if (url === '/v2/') return undefined;
      if (method === 'HEAD') return { status: 404 };
      open += method === 'POST' ? 1 : -1;
      most = Math.max(most, open);
      return method === 'POST' ? { status: 202, headers: { location: `/u/${open}` } } : { status: 201 };
    });
    await using client = testClient();
    const context: CopyContext = {
      ...createCopyContext({ client, ledger: noPlaces, blobsAtOnce: 2, emit: () => {} }),
      signal: new AbortController().signal,
    };
    const arrival = createArrival({ registry: destination.host, repository: 'team/app', tag: '1' });
    await Promise.all(
      contents.map((content) => {
        const blob = { digest: digestOf(content), size: content.length, mediaType: 'application/octet-stream' };
        return ensureBlob(context, { registry: source.host, repository: 'team/app' }, blob, [arrival]);
      }),
    );
    expect(arrival.error).toBeUndefined();
    expect({ open, most }).toEqual({ open: 0, most: 4 });
  });
});
