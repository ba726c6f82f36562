import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { digestOf } from '../../core/model/digest.ts';
import { createRegistryClient } from '../../core/registry/client.ts';
import { quirksOf } from '../../core/registry/quirks.ts';
import {
  cancelUpload,
  finishUpload,
  startUpload,
  type UploadSession,
  writeUpload,
} from '../../core/registry/uploads.ts';
import { sourceFrom } from '../support/byte-sources.ts';
import {
  login,
  ociError,
  repositoryAt,
  type Script,
  type ScriptedAnswer,
  type ScriptedRequest,
  scriptedRegistry,
  type TestClient,
  testClient,
  withLogin,
} from '../support/scripted-registry.ts';

const content = Buffer.from('the bytes of a layer');
const digest = digestOf(content);
const blobPath = `/v2/team/app/blobs/${digest}`;

describe('startUpload', () => {
  it('keeps the opaque Location, relative or absolute', async () => {
    let location = '/v2/team/app/blobs/uploads/1?_state=a%2Fb%3D%3D&x';
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 202, headers: { location } },
    );
    await using client = testClient();
    const start = () => startUpload(client, repositoryAt(registry));
    expect(await start()).toMatchObject({ kind: 'session', session: { location: registry.url + location } });
    location = `${registry.url}/elsewhere?q=%41`;
    expect(await start()).toMatchObject({ kind: 'session', session: { location } });
    for (location of ['', 'ftp://x/', 'http://169.254.169.254/']) await expect(start()).rejects.toThrow();
  });

  it.each(['http', 'https'])('goes on at the registry where its %s Location lacks the port', async (scheme) => {
    const path = '/v2/team/app/blobs/uploads/1?_state=a%2Fb';
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 202, headers: { location: `${scheme}://127.0.0.1${path}` } },
    );
    await using client = testClient();
    expect(await startUpload(client, repositoryAt(registry))).toMatchObject({
      session: { location: registry.url + path },
    });
  });

  it.each([301, 302, 307, 308])('follows a %i on the registry itself, with the same method', async (status) => {
    await using registry = await scriptedRegistry(
      withLogin(({ url, method }) => {
        if (url === '/v2/team/app/blobs/uploads/')
          return { status, headers: { location: '/v2/team/app/blobs/uploads' } };
        return { status: method === 'POST' ? 202 : 500, headers: { location: '/u/1' } };
      }),
    );
    await using client = testClient({ login });
    expect(await startUpload(client, repositoryAt(registry))).toMatchObject({ kind: 'session' });
    expect(registry.log().slice(-2)).toEqual(['POST /v2/team/app/blobs/uploads/', 'POST /v2/team/app/blobs/uploads']);
  });

  it('follows no redirect to another host', async () => {
    await using thief = await scriptedRegistry(() => ({ status: 202, headers: { location: '/u/1' } }));
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status: 307, headers: { location: `${thief.url}/v2/a/blobs/uploads/` } },
    );
    await using client = testClient();
    await expect(startUpload(client, repositoryAt(registry))).rejects.toMatchObject({
      class: 'permanent',
      code: 'unsafe',
      mend: expect.stringContaining(thief.host),
    });
    expect(thief.requests).toEqual([]);
  });

  it('gives up redirects that turn in a circle, and a 303', async () => {
    let status = 307;
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status, headers: { location: url } },
    );
    await using client = testClient();
    await expect(startUpload(client, repositoryAt(registry))).rejects.toMatchObject({ code: 'protocol' });
    status = 303;
    await expect(startUpload(client, repositoryAt(registry))).rejects.toMatchObject({ code: 'protocol' });
  });

  it.each([200, 201, 204])('takes a %i with a Location for a session', async (status) => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : { status, headers: { location: '/u/1' } },
    );
    await using client = testClient();
    expect(await startUpload(client, repositoryAt(registry))).toMatchObject({ kind: 'session' });
  });

  it('mounts, or goes on with the session that it got instead', async () => {
    let answer: { status: number; headers: Record<string, string> } = { status: 201, headers: { location: blobPath } };
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : answer));
    await using client = testClient();
    const mount = { digest, from: 'base' };
    expect(await startUpload(client, repositoryAt(registry), { mount })).toEqual({ kind: 'mounted' });
    expect(registry.log()).toEqual([`POST /v2/team/app/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=base`]);
    answer = { status: 202, headers: { location: '/u/1' } };
    expect(await startUpload(client, repositoryAt(registry), { mount })).toMatchObject({ kind: 'session' });
    expect(registry.requests).toHaveLength(2);
  });

  it.each([400, 401, 403, 405, 409, 422, 501])(
    'uploads where a mount is answered with %i, and does not ask again',
    async (status) => {
      await using registry = await scriptedRegistry(({ url }) => {
        if (url === '/v2/') return undefined;
        return url.includes('mount=') ? { status } : { status: 202, headers: { location: '/u/1' } };
      });
      await using client = testClient();
      const mount = { digest, from: 'base' };
      for (let round = 0; round < 2; round += 1) {
        expect(await startUpload(client, repositoryAt(registry), { mount })).toMatchObject({ kind: 'session' });
      }
      expect(registry.log().filter((line) => line.includes('mount='))).toHaveLength(1);
    },
  );

  it.each([404, 408, 500, 502, 503])(
    'uploads where a mount is answered with %i, and asks again for the next blob',
    async (status) => {
      await using registry = await scriptedRegistry(({ url }) => {
        if (url === '/v2/') return undefined;
        return url.includes('mount=') ? { status } : { status: 202, headers: { location: '/u/1' } };
      });
      await using client = testClient();
      for (let round = 0; round < 2; round += 1) {
        expect(await startUpload(client, repositoryAt(registry), { mount: { digest, from: 'base' } })).toMatchObject({
          kind: 'session',
        });
      }
      expect(registry.log().filter((line) => line.includes('mount='))).toHaveLength(2);
    },
  );

  it.each<[string, ScriptedAnswer]>([
    ['a 202 that leads nowhere', { status: 202 }],
    ['a 200', { status: 200 }],
    ['another digest', { status: 201, headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } }],
    ['a redirect to another host', { status: 307, headers: { location: 'http://other.example/v2/' } }],
  ])('uploads where a mount is answered with %s', async (_what, answer) => {
    await using registry = await scriptedRegistry(({ url }) => {
      if (url === '/v2/') return undefined;
      return url.includes('mount=') ? answer : { status: 202, headers: { location: '/u/1' } };
    });
    await using client = testClient();
    const mount = { digest, from: 'base' };
    expect(await startUpload(client, repositoryAt(registry), { mount })).toMatchObject({ kind: 'session' });
  });

  it.each([400, 403, 404, 500, 503])(
    'uploads where a token for two repositories is refused with %i',
    async (status) => {
      await using registry = await scriptedRegistry(({ url, headers }) => {
        if (url.startsWith('/token')) return url.includes('base') ? { status } : { body: '{"token": "t"}' };
        if (headers.authorization !== undefined) return { status: 202, headers: { location: '/u/1' } };
        return { status: 401, headers: { 'www-authenticate': 'Bearer realm="/token"' } };
      });
      await using client = testClient();
      const mount = { digest, from: 'base' };
      expect(await startUpload(client, repositoryAt(registry), { mount })).toMatchObject({ kind: 'session' });
    },
  );

  it.each<[string, ScriptedAnswer | 'hang up', string]>([
    ['wants to be left alone', { status: 429 }, 'throttled'],
    ['says when to come back', { status: 503, headers: { 'retry-after': '60' } }, 'throttled'],
    ['says nothing', 'hang up', 'transient'],
  ])('asks no second time where a registry %s when it is to mount', async (_what, answer, errorClass) => {
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : answer));
    await using client = testClient();
    const mount = { digest, from: 'base' };
    await expect(startUpload(client, repositoryAt(registry), { mount })).rejects.toMatchObject({ class: errorClass });
    expect(registry.log().filter((line) => !line.includes('mount='))).toEqual([]);
  });

  it('waits for no end of an answer without a length, whose connection stays open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    await using registry = await scriptedRegistry(({ method }, response) => {
      if (method !== 'POST') return undefined;
      response.socket?.write('HTTP/1.1 202 Accepted\r\nlocation: /u/1\r\n\r\n');
      return 'answered';
    });
    await using client = testClient();
    expect(await startUpload(client, repositoryAt(registry))).toMatchObject({ kind: 'session' });
  });

  it('says that the repository must be created', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : ociError(404, 'NAME_UNKNOWN'),
    );
    await using client = testClient();
    await expect(startUpload(client, repositoryAt(registry))).rejects.toMatchObject({
      class: 'permanent',
      code: 'not-found',
      mend: expect.stringContaining('create the repository team/app'),
    });
  });

  it('says that a cache takes no uploads', async () => {
    await using registry = await scriptedRegistry(({ url }) =>
      url === '/v2/' ? undefined : ociError(405, 'UNSUPPORTED'),
    );
    await using client = testClient();
    await expect(startUpload(client, repositoryAt(registry))).rejects.toMatchObject({
      code: 'unsupported',
      mend: expect.stringContaining('cache of another registry'),
    });
  });
});

describe('an upload', () => {
  const uploading = (script: Script) =>
    scriptedRegistry((request, response) =>
      request.method === 'POST'
        ? { status: 202, headers: { location: '/u/1?_state=a%2Fb' } }
        : request.url === '/v2/'
          ? undefined
          : script(request, response),
    );
  /** Of a blob that goes in a PATCH, as all do of more than 16 MiB. */
  const begin = async (client: TestClient, host: string): Promise<UploadSession> => {
    quirksOf(client, host).refusesPutWithBody = true;
    const started = await startUpload(client, { registry: host, repository: 'team/app' });
    if (started.kind === 'mounted') throw new Error('nothing was to be mounted');
    return started.session;
  };
  const write = async (client: TestClient, host: string, body: Readable = Readable.from([content])) =>
    writeUpload(client, await begin(client, host), { body: sourceFrom(body), size: content.length, digest });
  const upload = async (client: TestClient, host: string) => finishUpload(client, await write(client, host), digest);

  it.each([
    [202, 201],
    [201, 204],
    [204, 201],
  ])('is one PATCH (%i) with its length and an empty PUT (%i) with the digest', async (patch, put) => {
    await using registry = await uploading(({ method }) =>
      method === 'PATCH' ? { status: patch, headers: { location: '/u/2?_state=c%2Fd' } } : { status: put },
    );
    await using client = testClient();
    await upload(client, registry.host);
    const [, sent, done] = registry.requests as [ScriptedRequest, ScriptedRequest, ScriptedRequest];
    expect(sent).toMatchObject({ method: 'PATCH', url: '/u/1?_state=a%2Fb', body: content });
    expect(sent.headers).toMatchObject({
      'content-length': String(content.length),
      'content-type': 'application/octet-stream',
    });
    expect(sent.headers).not.toHaveProperty('content-range');
    expect(sent.headers).not.toHaveProperty('transfer-encoding');
    expect(done).toMatchObject({ method: 'PUT', url: `/u/2?_state=c%2Fd&digest=${encodeURIComponent(digest)}` });
    expect(done.body).toHaveLength(0);
  });

  it.each([
    ['405', { status: 405 }],
    ['501', { status: 501 }],
    ['404', { status: 404 }],
    ['403 of a firewall', { status: 403, body: '<html><title>403 Forbidden</title></html>' }],
    ['400 UNSUPPORTED', ociError(400, 'UNSUPPORTED')],
  ])('goes with the PUT once PATCH was answered with %s', async (_what, refusal) => {
    await using registry = await uploading(({ method }) => (method === 'PATCH' ? refusal : { status: 201 }));
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient' });
    await upload(client, registry.host);
    const puts = registry.requests.filter(({ method }) => method === 'PUT');
    expect(puts).toHaveLength(1);
    expect(puts[0]).toMatchObject({ url: `/u/1?_state=a%2Fb&digest=${encodeURIComponent(digest)}`, body: content });
  });

  it('goes to where a PATCH is redirected on the registry itself, at the second try and from then on', async () => {
    await using registry = await uploading(({ method, url }) => {
      if (method === 'PATCH' && !url.startsWith('/x')) return { status: 307, headers: { location: `/x${url}` } };
      return { status: method === 'PATCH' ? 202 : 201, headers: { location: '/u/2' } };
    });
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient' });
    await upload(client, registry.host);
    await upload(client, registry.host);
    const sent = registry.requests.filter(({ body }) => body.length > 0).map(({ url }) => url.split('?')[0]);
    expect(sent).toEqual(['/u/1', '/x/u/1', '/x/u/1']);
  });

  it('goes to no other host where a PATCH is redirected there', async () => {
    await using thief = await scriptedRegistry(() => ({ status: 202 }));
    await using registry = await uploading(() => ({ status: 307, headers: { location: `${thief.url}/u` } }));
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient' });
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'permanent', code: 'unsafe' });
    expect(thief.requests).toEqual([]);
  });

  it('goes back to PATCH where the PUT is too large for the registry', async () => {
    let hasPatch = false;
    await using registry = await uploading(({ method, body }) => {
      if (method === 'PATCH') return { status: hasPatch ? 202 : 405 };
      return { status: body.length > 0 ? 413 : 201 };
    });
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toThrow();
    hasPatch = true;
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient' });
    await upload(client, registry.host);
  });

  it('is a PUT with the bytes and the digest where the blob is not large', async () => {
    await using registry = await uploading(() => ({ status: 201, headers: { 'docker-content-digest': digest } }));
    await using client = testClient();
    const session = await begin(client, registry.host);
    quirksOf(client, registry.host).refusesPutWithBody = false;
    const body = sourceFrom(Readable.from([content]));
    const after = await writeUpload(client, session, { body, size: content.length, digest });
    await finishUpload(client, after, digest);
    expect(registry.requests.slice(1)).toMatchObject([
      { method: 'PUT', url: `/u/1?_state=a%2Fb&digest=${encodeURIComponent(digest)}`, body: content },
    ]);
  });

  it.each([
    ['404 BLOB_UNKNOWN', ociError(404, 'BLOB_UNKNOWN')],
    ['405', { status: 405 }],
    ['413', { status: 413 }],
    ['307', { status: 307, headers: { location: '/elsewhere' } }],
  ])('goes with a PATCH once a PUT with bytes was answered with %s, whatever its size', async (_what, refusal) => {
    await using registry = await uploading(({ method, body }) => {
      if (method === 'PATCH') return { status: 202 };
      return body.length > 0 ? refusal : { status: 201 };
    });
    await using client = testClient();
    const session = await begin(client, registry.host);
    quirksOf(client, registry.host).refusesPutWithBody = false;
    const body = sourceFrom(Readable.from([content]));
    await expect(writeUpload(client, session, { body, size: content.length, digest })).rejects.toMatchObject({
      class: 'transient',
    });
    expect(quirksOf(client, registry.host)).toMatchObject({ refusesPutWithBody: true, needsMonolithicPut: false });
  });

  it.each([
    ['a session that is gone', ociError(404, 'BLOB_UPLOAD_UNKNOWN')],
    ['an offset that is wrong', ociError(416, 'BLOB_UPLOAD_INVALID')],
  ])('is begun anew after %s, in the same way', async (_what, refusal) => {
    let round = 0;
    await using registry = await uploading(({ method }) => {
      if (method !== 'PATCH') return { status: 201 };
      round += 1;
      return round === 1 ? refusal : { status: 202 };
    });
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient', code: 'protocol' });
    await upload(client, registry.host);
  });

  it('renews a token that died while the blob was on its way', async () => {
    let issued = 0;
    await using registry = await scriptedRegistry(({ method, url, headers }) => {
      if (url.startsWith('/token')) {
        issued += 1;
        return { body: JSON.stringify({ token: `t${issued}`, expires_in: 3600 }) };
      }
      if (url === '/v2/') return { status: 401, headers: { 'www-authenticate': 'Bearer realm="/token",service="s"' } };
      if (method === 'POST') return { status: 202, headers: { location: '/u/1' } };
      if (method === 'PATCH') return { status: 202 };
      return headers.authorization === 'Bearer t1'
        ? { status: 401, headers: { 'www-authenticate': 'Bearer realm="/token",service="s",error="invalid_token"' } }
        : { status: 201 };
    });
    await using client = testClient({ login });
    await upload(client, registry.host);
    expect(registry.log().filter((line) => line.startsWith('PUT'))).toHaveLength(2);
  });

  it('takes a lost answer to the last PUT for what it was', async () => {
    let isStored = false;
    await using registry = await uploading(({ method }) => {
      if (method === 'PATCH') return { status: 202 };
      if (method === 'HEAD')
        return { status: isStored ? 200 : 404, headers: { 'content-length': String(content.length) } };
      if (isStored) return ociError(404, 'BLOB_UPLOAD_UNKNOWN');
      isStored = true;
      return 'hang up';
    });
    await using client = testClient();
    await upload(client, registry.host);
  });

  it('takes a lost answer to the PUT that it goes with for what it was', async () => {
    let isStored = false;
    await using registry = await uploading(({ method }) => {
      if (method === 'HEAD')
        return { status: isStored ? 200 : 404, headers: { 'content-length': String(content.length) } };
      isStored = true;
      return 'hang up';
    });
    await using client = testClient();
    const session = await begin(client, registry.host);
    quirksOf(client, registry.host).refusesPutWithBody = false;
    const body = () => sourceFrom(Readable.from([content]));
    const after = await writeUpload(client, session, { body: body(), size: content.length, digest });
    expect(after.isFinished).toBe(true);
    isStored = false;
    const lost = await uploading(({ method }) => (method === 'HEAD' ? { status: 404 } : 'hang up'));
    await using _ = lost;
    const other = await begin(client, lost.host);
    quirksOf(client, lost.host).refusesPutWithBody = false;
    await expect(writeUpload(client, other, { body: body(), size: content.length, digest })).rejects.toMatchObject({
      class: 'transient',
      code: 'network',
    });
  });

  it('is complete where the last PUT is answered with 202, and the registry has the blob', async () => {
    let isStored = true;
    await using registry = await uploading(({ method }) => {
      if (method !== 'HEAD') return { status: 202 };
      return isStored ? { headers: { 'content-length': String(content.length) } } : { status: 404 };
    });
    await using client = testClient();
    await upload(client, registry.host);
    isStored = false;
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient', code: 'protocol' });
  });

  it('asks for nothing twice: whoever brings the blob does that', async () => {
    await using registry = await uploading(({ method }) => ({ status: method === 'PATCH' ? 202 : 500 }));
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient', code: 'server-error' });
    expect(registry.log().map((line) => line.split(' ')[0])).toEqual(['POST', 'PATCH', 'PUT', 'HEAD']);
  });

  it('fails where the registry stored something else', async () => {
    await using registry = await uploading(({ method }) =>
      method === 'PATCH'
        ? { status: 202 }
        : { status: 201, headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } },
    );
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({ class: 'transient', code: 'digest-mismatch' });
  });

  it('sends no login to another origin that the Location leads to', async () => {
    await using store = await scriptedRegistry(({ method }) => ({ status: method === 'PATCH' ? 202 : 201 }));
    await using registry = await scriptedRegistry(
      withLogin(({ method }) =>
        method === 'POST' ? { status: 202, headers: { location: `${store.url}/u?sig=1` } } : { status: 200 },
      ),
    );
    await using client = testClient({ login });
    await upload(client, registry.host);
    expect(store.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    expect(store.requests[0]?.body).toEqual(content);
  });

  it.each([401, 404])('says which host the Location named, where that answers with %i', async (status) => {
    await using elsewhere = await scriptedRegistry(() => ({ status }));
    await using registry = await scriptedRegistry(({ method }) =>
      method === 'POST' ? { status: 202, headers: { location: `${elsewhere.url}/v2/app/u` } } : { status: 200 },
    );
    await using client = testClient();
    await expect(upload(client, registry.host)).rejects.toMatchObject({
      message: expect.stringContaining(`status ${status} from ${elsewhere.host}, where the registry sends its clients`),
      mend: expect.stringContaining(`${registry.host} sends uploads to ${elsewhere.host}`),
    });
  });

  it('reports the status of an early refusal and lets go of the body', async () => {
    await using registry = await scriptedRegistry(({ method, url }) => {
      if (url === '/v2/') return undefined;
      return method === 'POST'
        ? { status: 202, headers: { location: '/u/1' } }
        : ociError(403, 'DENIED', 'no more room');
    });
    await using client = testClient();
    const body = Readable.from([content]);
    await expect(write(client, registry.host, body)).rejects.toMatchObject({
      class: 'permanent',
      code: 'denied',
      site: { status: 403 },
      message: expect.stringContaining('no more room'),
    });
    expect(body.destroyed).toBe(true);
  });

  it('never passes an empty or short stream for the blob', async () => {
    await using registry = await uploading(({ method }) => ({ status: method === 'PATCH' ? 202 : 201 }));
    await using client = testClient();
    const ended = Readable.from([content]);
    ended.resume();
    await once(ended, 'end');
    for (const body of [ended, Readable.from([content.subarray(1)]), Readable.from([content, content])]) {
      await expect(write(client, registry.host, body)).rejects.toMatchObject({
        class: 'transient',
        code: 'size-mismatch',
      });
    }
    expect(registry.requests.filter(({ method }) => method === 'PATCH')).toEqual([]);
  });

  it('fails with what its source failed with', async () => {
    await using registry = await uploading(() => ({ status: 202 }));
    await using client = testClient();
    const body = new Readable({ read() {} });
    body.push(content.subarray(0, 4));
    body.once('resume', () => setImmediate(() => body.destroy(new Error('the source is gone'))));
    await expect(write(client, registry.host, body)).rejects.toMatchObject({ class: 'transient', code: 'network' });
  });

  it('fails as stalled where the registry takes no more bytes', async () => {
    const { createServer } = await import('node:http');
    // Never reads a PATCH: the sockets' buffers fill up.
    const server = createServer((request, response) => {
      if (request.method === 'PATCH') return void request.pause();
      request.resume();
      response.writeHead(request.method === 'POST' ? 202 : 200, { location: '/u/1' }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const host = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    await using client = testClient({ stallMs: 100 });
    const chunk = Buffer.alloc(1024 * 1024);
    const body = new Readable({ read: () => void body.push(chunk) });
    const session = await begin(client, host);
    await expect(
      writeUpload(client, session, { body: sourceFrom(body), size: 1024 ** 3, digest }),
    ).rejects.toMatchObject({
      class: 'transient',
      code: 'stalled',
    });
    server.closeAllConnections();
    server.close();
  });

  it('can be called off, whatever the registry says to that', async () => {
    await using registry = await uploading(() => ({ status: 401 }));
    await using client = testClient();
    await cancelUpload(client, await begin(client, registry.host));
    expect(registry.log().at(-1)).toBe('DELETE /u/1?_state=a%2Fb');
    const nowhere = createRegistryClient({ credentials: { lookup: async () => undefined } });
    await cancelUpload(nowhere, {
      repository: { registry: '127.0.0.1:1', repository: 'a' },
      location: 'https://127.0.0.1:1/u',
      isFinished: false,
    });
  });
});
