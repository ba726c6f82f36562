import { request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import { pushBlob } from '../../testing/push.ts';
import { type EmbeddedRegistry, type RegistryOptions, startRegistry } from '../../testing/registry/server.ts';
import { pushArtifact, pushSchema1, pushSha512Image } from '../support/images.ts';

let registry: EmbeddedRegistry | undefined;

async function start(options: RegistryOptions = {}): Promise<EmbeddedRegistry> {
  registry = await startRegistry(options);
  return registry;
}

afterEach(async () => {
  await registry?.close();
  registry = undefined;
});

interface Call {
  method?: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  headers?: Record<string, string>;
  body?: Buffer | string;
}

async function call(path: string, { method = 'GET', headers = {}, body }: Call = {}) {
  const url = new URL(path, registry?.url);
  const answer = await request(url, { method, headers, ...(body !== undefined && { body }) });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  return {
    status: answer.statusCode,
    headers: answer.headers as Record<string, string>,
    bytes,
    json: () => JSON.parse(bytes.toString()),
    code: () => JSON.parse(bytes.toString()).errors[0].code as string,
  };
}

describe('uploads', () => {
  it('take chunks in order, tell how far they are, and end with a digest', async () => {
    const { content } = await start();
    const begun = await call('/v2/team/app/blobs/uploads/', { method: 'POST' });
    expect(begun.status).toBe(202);
    const first = await call(begun.headers.location!, {
      method: 'PATCH',
      headers: { 'content-range': '0-4' },
      body: 'hello',
    });
    expect(first).toMatchObject({ status: 202, headers: { range: '0-4' } });
    const outOfOrder = await call(first.headers.location!, {
      method: 'PATCH',
      headers: { 'content-range': '9-13' },
      body: 'world',
    });
    expect(outOfOrder).toMatchObject({ status: 416, headers: { range: '0-4' } });
    expect(await call(first.headers.location!)).toMatchObject({ status: 204, headers: { range: '0-4' } });
    const digest = content.addBlob('elsewhere', Buffer.from('hello world')).digest;
    const ended = await call(`${first.headers.location}&digest=${digest}`, { method: 'PUT', body: ' world' });
    expect(ended).toMatchObject({ status: 201, headers: { 'docker-content-digest': digest } });
    expect(content.openUploads()).toBe(0);
    expect((await call(ended.headers.location!)).bytes.toString()).toBe('hello world');
  });

  it('refuse a client that makes up its own location', async () => {
    await start();
    const begun = await call('/v2/team/app/blobs/uploads/', { method: 'POST' });
    const bare = begun.headers.location!.split('?')[0]!;
    const answer = await call(bare, { method: 'PATCH', body: 'x' });
    expect([answer.status, answer.code()]).toEqual([400, 'BLOB_UPLOAD_INVALID']);
  });

  it('refuse wrong digests, and forget the upload', async () => {
    await start();
    const begun = await call('/v2/team/app/blobs/uploads/', { method: 'POST' });
    const location = `${begun.headers.location}&digest=sha256:${'0'.repeat(64)}`;
    const answer = await call(location, { method: 'PUT', body: 'x' });
    expect([answer.status, answer.code()]).toEqual([400, 'DIGEST_INVALID']);
    expect((await call(location, { method: 'PUT' })).status).toBe(404);
  });

  it('take a whole blob in one POST, and mount one from another repository', async () => {
    const { content } = await start();
    const { digest } = content.addBlob('elsewhere', Buffer.from('hello'));
    const post = (path: string, body = '') => call(path, { method: 'POST', body });
    expect((await post(`/v2/a/blobs/uploads/?digest=${digest}`, 'hello')).status).toBe(201);
    expect((await post(`/v2/b/blobs/uploads/?mount=${digest}&from=a`)).status).toBe(201);
    expect(content.hasBlob('b', digest)).toBe(true);
    expect((await post(`/v2/c/blobs/uploads/?mount=${digest}&from=nowhere`)).status).toBe(202);
    expect(content.hasBlob('c', digest)).toBe(false);
  });

  it('can be cancelled', async () => {
    const { content } = await start();
    const begun = await call('/v2/a/blobs/uploads/', { method: 'POST' });
    expect((await call(begun.headers.location!, { method: 'DELETE' })).status).toBe(204);
    expect(content.openUploads()).toBe(0);
  });
});

describe('blobs', () => {
  it('come whole, in part and as their size', async () => {
    const { content } = await start();
    const { digest } = content.addBlob('a', Buffer.from('0123456789'));
    const path = `/v2/a/blobs/${digest}`;
    expect(await call(path, { method: 'HEAD' })).toMatchObject({ status: 200, headers: { 'content-length': '10' } });
    expect((await call(path)).bytes.toString()).toBe('0123456789');
    const from = await call(path, { headers: { range: 'bytes=7-' } });
    expect(from).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 7-9/10' } });
    expect(from.bytes.toString()).toBe('789');
    expect((await call(path, { headers: { range: 'bytes=-2' } })).bytes.toString()).toBe('89');
    expect((await call(path, { headers: { range: 'bytes=10-' } })).status).toBe(416);
  });

  it('may be larger than memory likes', async () => {
    const { content } = await start();
    const blob = content.addGeneratedBlob('a', 'seed', 3_000_000);
    const answer = await call(`/v2/a/blobs/${blob.digest}`);
    const again = await pushBlob({ url: registry!.url, repository: 'b' }, 'any/type', answer.bytes);
    expect(again.digest).toBe(blob.digest);
  });
});

describe('manifests and lists', () => {
  it('come by tag and digest, byte for byte, to clients that accept their type', async () => {
    const { url } = await start();
    const index = await pushMultiArch({ url, repository: 'a' }, { seed: 'x', tag: '1', platforms: ['linux/amd64'] });
    for (const reference of ['1', index.digest]) {
      const answer = await call(`/v2/a/manifests/${reference}`, { headers: { accept: index.mediaType } });
      expect(answer.bytes.equals(index.bytes)).toBe(true);
      expect(answer.headers['docker-content-digest']).toBe(index.digest);
    }
    const other = await call('/v2/a/manifests/1', { headers: { accept: 'application/json' } });
    expect([other.status, other.code()]).toEqual([404, 'MANIFEST_UNKNOWN']);
    expect((await call('/v2/nothing/manifests/1')).code()).toBe('NAME_UNKNOWN');
  });

  it('refuse what is too large or has another digest', async () => {
    const { url } = await start();
    const image = await pushImage({ url, repository: 'a' }, { seed: 'x' });
    const put = { method: 'PUT', headers: { 'content-type': image.mediaType } } as const;
    const large = await call('/v2/a/manifests/1', { ...put, body: Buffer.alloc(4 * 1024 * 1024 + 1, ' ') });
    expect(large.status).toBe(413);
    const wrong = await call(`/v2/a/manifests/sha256:${'0'.repeat(64)}`, { ...put, body: image.bytes });
    expect(wrong.code()).toBe('DIGEST_INVALID');
  });

  it('list tags in pages', async () => {
    const { url } = await start({ maxTagsPerPage: 2 });
    for (const tag of ['b', 'c', 'a', 'B', 'd']) await pushImage({ url, repository: 'a' }, { seed: 'x', tag });
    const pages: string[][] = [];
    for (let path: string | undefined = '/v2/a/tags/list?n=100'; path !== undefined; ) {
      const answer = await call(path);
      pages.push(answer.json().tags);
      path = /^<(.+)>; rel="next"$/.exec(answer.headers.link ?? '')?.[1];
    }
    expect(pages).toEqual([['B', 'a'], ['b', 'c'], ['d']]);
  });

  it('know referrers, by type too', async () => {
    const { url } = await start();
    const target = { url, repository: 'a' };
    const subject = await pushImage(target, { seed: 'x' });
    const signature = await pushArtifact(target, { artifactType: 'test/signature', seed: 's', subject });
    await pushArtifact(target, { artifactType: 'test/sbom', seed: 'b', subject });
    const all = await call(`/v2/a/referrers/${subject.digest}`);
    expect(all.json().manifests).toHaveLength(2);
    const some = await call(`/v2/a/referrers/${subject.digest}?artifactType=test/signature`);
    expect(some.json().manifests).toMatchObject([{ digest: signature.digest, artifactType: 'test/signature' }]);
    expect(some.headers['oci-filters-applied']).toBe('artifactType');
    expect((await call(`/v2/nowhere/referrers/${subject.digest}`)).json().manifests).toEqual([]);
  });

  it('include schema 1 and sha512', async () => {
    const { url, content } = await start();
    const signed = await pushSchema1({ url, repository: 'a' }, { seed: 'x', tag: 'old' });
    expect(content.manifest('a', 'old')?.digest).toBe(signed.digest);
    const image = await pushSha512Image({ url, repository: 'a' }, { seed: 'x' });
    expect(content.manifest('a', image.digest)?.bytes.equals(image.bytes)).toBe(true);
  });
});

describe('access', () => {
  const users = [
    { username: 'writer', password: 'w', identityToken: 'refresh-me' },
    { username: 'reader', password: 'r', may: (_: string, action: string) => action === 'pull' },
  ];
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });

  it('by basic authentication', async () => {
    await start({ access: { kind: 'basic', users } });
    const challenge = await call('/v2/');
    expect(challenge).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringMatching(/^Basic /) } });
    const post = (login: string) => call('/v2/a/blobs/uploads/', { method: 'POST', headers: basic(login) });
    expect((await post('writer:w')).status).toBe(202);
    expect((await post('reader:r')).status).toBe(403);
    expect((await post('reader:w')).status).toBe(401);
  });

  it('by tokens that hold for their scope only', async () => {
    const { url, count } = await start({ access: { kind: 'token', users } });
    await pushImage({ url, repository: 'a', username: 'writer', password: 'w' }, { seed: 'x', tag: '1' });
    expect(count('token')).toBe(1);
    const challenge = (await call('/v2/a/tags/list')).headers['www-authenticate'];
    expect(challenge).toMatch(/^Bearer realm="http:\/\/127\.0\.0\.1:\d+\/token",.*scope="repository:a:pull"$/);
    const token = async (scope: string, login: string): Promise<Record<string, string>> => {
      const answer = await call(`/token?scope=${scope}`, { headers: basic(login) });
      return { authorization: `Bearer ${answer.json().token}` };
    };
    const reading = await token('repository:a:pull,push', 'reader:r');
    expect((await call('/v2/a/tags/list', { headers: reading })).status).toBe(200);
    const other = await call('/v2/b/tags/list', { headers: reading });
    expect(other.headers['www-authenticate']).toContain('error="insufficient_scope"');
    expect((await call('/v2/a/blobs/uploads/', { method: 'POST', headers: reading })).status).toBe(401);
    const forged = { authorization: `${reading.authorization}x` };
    expect((await call('/v2/a/tags/list', { headers: forged })).headers['www-authenticate']).toContain('invalid_token');
    expect((await call('/token?scope=repository:a:pull', { headers: basic('reader:no') })).status).toBe(401);
    const mount = `/v2/a/blobs/uploads/?mount=sha256:${'0'.repeat(64)}&from=b`;
    const writing = await token('repository:a:pull,push', 'writer:w');
    expect((await call(mount, { method: 'POST', headers: writing })).status).toBe(401);
  });

  it('by an identity token, and not once the token ran out', async () => {
    await start({ access: { kind: 'token', users, ttlSeconds: 0 } });
    const form = { grant_type: 'refresh_token', refresh_token: 'refresh-me', scope: 'repository:a:pull' };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await call('/token', { method: 'POST', headers, body: new URLSearchParams(form).toString() });
    const authorization = `Bearer ${answer.json().access_token}`;
    expect((await call('/v2/a/tags/list', { headers: { authorization } })).status).toBe(401);
    const wrong = new URLSearchParams({ ...form, refresh_token: 'no' }).toString();
    expect((await call('/token', { method: 'POST', headers, body: wrong })).status).toBe(401);
  });
});
