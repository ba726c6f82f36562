import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { digestOf } from '../../core/model/digest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../core/model/media-types.ts';
import { typeOfManifest } from '../../core/registry/manifest-type.ts';
import { getManifest, headDigest, headManifest, isTagGone, putManifest } from '../../core/registry/manifests.ts';
import {
  ociError,
  repositoryAt,
  type Script,
  type ScriptedAnswer,
  type ScriptedRequest,
  scriptedRegistry,
  testClient,
} from '../support/scripted-registry.ts';

const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: {}, layers: [] }));
const sha256 = digestOf(bytes);
const sha512 = digestOf(bytes, 'sha512');
const other = `sha256:${'0'.repeat(64)}`;
const serve = (digest?: string, type: string | undefined = OCI_MANIFEST): ScriptedAnswer => ({
  headers: {
    ...(digest !== undefined && { 'docker-content-digest': digest }),
    ...(type !== '' && { 'content-type': type }),
  },
  body: bytes,
});

async function against(script: Script) {
  const registry = await scriptedRegistry(script);
  const client = testClient();
  return {
    registry,
    client,
    tag: { ...repositoryAt(registry), tag: '1' },
    byDigest: (digest: string) => ({ ...repositoryAt(registry), digest }),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

describe('a quota of pulls', () => {
  const left = (remaining: number): ScriptedAnswer => ({
    ...serve(sha256),
    headers: {
      ...serve(sha256).headers,
      'ratelimit-limit': '100;w=21600',
      'ratelimit-remaining': `${remaining};w=21600`,
    },
  });

  it('that is spent is not asked for more, and one HEAD tells when there is more', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    let remaining = 1;
    await using at = await against(({ method, url }) =>
      url === '/v2/' ? undefined : left(method === 'GET' ? --remaining : remaining),
    );
    await getManifest(at.client, at.tag);
    const refused = { class: 'throttled', code: 'throttled', retryAt: Date.now() + 216_000 };
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject(refused);
    expect(at.registry.log()).toEqual(['GET /v2/team/app/manifests/1']);
    vi.setSystemTime(Date.now() + 216_000);
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({ retryAt: Date.now() + 216_000 });
    expect(at.registry.log().slice(1)).toEqual(['HEAD /v2/team/app/manifests/1']);
    vi.setSystemTime(Date.now() + 216_000);
    remaining = 5;
    await getManifest(at.client, at.tag);
    expect(at.registry.log().slice(2)).toEqual(['HEAD /v2/team/app/manifests/1', 'GET /v2/team/app/manifests/1']);
  });

  it('is shared by pulls at the same time', async () => {
    await using at = await against(({ method, url }) => (url === '/v2/' ? undefined : left(method === 'HEAD' ? 2 : 0)));
    await headManifest(at.client, at.tag);
    const pulls = await Promise.allSettled([1, 2, 3, 4].map(() => getManifest(at.client, at.tag)));
    expect(pulls.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(at.registry.log().filter((line) => line.startsWith('GET'))).toHaveLength(2);
  });
});

describe('headManifest', () => {
  it('costs one HEAD, on a connection that is kept', async () => {
    const ports = new Set<number | undefined>();
    await using at = await against((request, response) => {
      if (request.method === 'HEAD') ports.add(response.socket?.remotePort);
      return { ...serve(sha256), headers: { ...serve(sha256).headers, 'content-length': String(bytes.length) } };
    });
    const wanted = { digest: sha256, mediaType: OCI_MANIFEST, size: bytes.length };
    for (let round = 0; round < 6; round += 1) expect(await headManifest(at.client, at.tag)).toEqual(wanted);
    expect(at.registry.log()).toEqual(Array(6).fill('HEAD /v2/team/app/manifests/1'));
    // The pool may have opened a second one before the first was free again.
    expect(ports.size).toBeLessThanOrEqual(2);
    expect(at.registry.requests[0]?.headers.accept).toContain(`${DOCKER_LIST}, ${DOCKER_MANIFEST}`);
  });

  it('is undefined for a missing manifest, and for nothing else', async () => {
    for (const [status, code] of [
      [401, 'unauthorized'],
      [403, 'denied'],
      [429, 'throttled'],
      [500, 'server-error'],
    ] as const) {
      await using at = await against(({ url }) => (url === '/v2/' ? undefined : { status }));
      await expect(headManifest(at.client, at.tag), String(status)).rejects.toMatchObject({ code });
    }
    await using at = await against(() => ({ status: 404 }));
    expect(await headManifest(at.client, at.tag)).toBeUndefined();
  });

  it.each([
    ['has no digest', { ...serve() }],
    ['has no media type', { ...serve(sha256, 'application/json') }],
    ['is refused', { status: 405 }],
  ])('asks by GET where the answer to HEAD %s', async (_what, answer) => {
    await using at = await against(({ method }) => (method === 'HEAD' ? answer : serve()));
    expect(await headManifest(at.client, at.tag)).toEqual({
      digest: sha256,
      mediaType: OCI_MANIFEST,
      size: bytes.length,
    });
  });

  it('tells the reason of a 403, which a HEAD cannot', async () => {
    await using at = await against(({ url }) =>
      url === '/v2/' ? undefined : ociError(403, 'DENIED', 'quota is over'),
    );
    await expect(headManifest(at.client, at.tag)).rejects.toMatchObject({
      class: 'permanent',
      code: 'denied',
      message: expect.stringContaining('quota is over'),
      site: { registryCodes: ['DENIED'], operation: 'head manifest', repository: 'team/app' },
    });
  });

  it('tries again where the connection breaks or the registry is ill', async () => {
    let round = 0;
    await using at = await against(({ url }) => {
      if (url === '/v2/') return undefined;
      round += 1;
      return round === 1 ? 'hang up' : round === 2 ? { status: 503 } : serve(sha256);
    });
    expect(await headManifest(at.client, at.tag)).toMatchObject({ digest: sha256 });
    expect(round).toBe(3);
  });
});

describe('headManifest of a tag that a list or a rule names', () => {
  it('does not believe a 404 before a GET says so too', async () => {
    await using at = await against(({ method }) => (method === 'HEAD' ? { status: 404 } : serve(sha256)));
    expect(await headManifest(at.client, at.tag, { isNamed: true })).toMatchObject({ digest: sha256 });
    await using gone = await against(({ url }) => (url === '/v2/' ? undefined : ociError(404, 'MANIFEST_UNKNOWN')));
    expect(await headManifest(gone.client, gone.tag, { isNamed: true })).toBeUndefined();
    expect(gone.registry.log().map((line) => line.split(' ')[0])).toEqual(['HEAD', 'GET']);
  });
});

describe('headDigest', () => {
  const asked = ({ requests }: { requests: ScriptedRequest[] }) =>
    requests.map(({ method, headers }) => `${method} ${headers['if-none-match'] ?? 'anything'}`);
  const at1 = { ...serve(sha256), headers: { ...serve(sha256).headers, etag: `"${sha256}"` } };

  it('asks whether a tag still has its digest, once the registry has shown that its ETag is the digest', async () => {
    await using at = await against(({ headers }) => (headers['if-none-match'] ? { status: 304 } : at1));
    for (const last of [sha256, sha256, undefined]) expect(await headDigest(at.client, at.tag, { last })).toBe(sha256);
    expect(asked(at.registry)).toEqual(['HEAD anything', `HEAD "${sha256}"`, 'HEAD anything']);
  });

  it('is the new digest of a tag that was moved', async () => {
    await using at = await against(() => at1);
    for (let round = 0; round < 2; round += 1)
      expect(await headDigest(at.client, at.tag, { last: other })).toBe(sha256);
    expect(asked(at.registry)).toEqual(['HEAD anything', `HEAD "${other}"`]);
  });

  it.each([
    ['is weak', `W/"${sha256}"`],
    ['is another one', `"${other}"`],
    ['is not there', undefined],
  ])('asks for the digest where the ETag %s', async (_what, etag) => {
    await using at = await against(() => ({ ...at1, headers: { ...serve(sha256).headers, ...(etag && { etag }) } }));
    for (let round = 0; round < 2; round += 1)
      expect(await headDigest(at.client, at.tag, { last: other })).toBe(sha256);
    expect(asked(at.registry)).toEqual(['HEAD anything', 'HEAD anything']);
  });

  it('fails where "not modified" answers nothing that was asked', async () => {
    await using at = await against(({ url }) => (url === '/v2/' ? undefined : { status: 304 }));
    await expect(headDigest(at.client, at.tag, { last: sha256 })).rejects.toMatchObject({ site: { status: 304 } });
  });

  it('does not believe a 404 before a GET says so too', async () => {
    await using at = await against(({ method }) => (method === 'HEAD' ? { status: 404 } : serve(sha256)));
    expect(await headDigest(at.client, at.tag)).toBe(sha256);
  });
});

describe('getManifest', () => {
  it('says so where a web page comes in its place', async () => {
    await using at = await against(() => ({ headers: { 'content-type': 'text/html' }, body: '<html>Log in</html>' }));
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('web page'),
      mend: expect.stringContaining('proxy'),
    });
  });

  it('is asked for again where nothing comes in its place', async () => {
    const answers: ScriptedAnswer[] = [{ headers: { 'content-length': '0', 'content-type': OCI_MANIFEST } }];
    await using at = await against(({ url }) => (url === '/v2/' ? undefined : (answers.shift() ?? serve(sha256))));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ digest: sha256 });
  });

  it('says so where an error comes in its place, with status 200', async () => {
    await using at = await against(({ url }) =>
      url === '/v2/' ? undefined : ociError(200, 'TOOMANYREQUESTS', 'slow down'),
    );
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({ class: 'throttled', code: 'throttled' });
  });

  it('takes bytes that are said to be compressed, and are not', async () => {
    await using at = await against(() => ({
      ...serve(sha256),
      headers: { ...serve(sha256).headers, 'content-encoding': 'gzip' },
    }));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ bytes });
  });

  it('takes a response with 100 KB of headers', async () => {
    await using at = await against(() => ({ ...serve(sha256), headers: { 'x-policy': 'p'.repeat(100_000) } }));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ digest: sha256 });
  });

  it('returns the bytes as they are', async () => {
    await using at = await against(() => serve(sha256));
    expect(await getManifest(at.client, at.tag)).toEqual({ bytes, mediaType: OCI_MANIFEST, digest: sha256 });
    expect(await getManifest(at.client, at.byDigest(sha512))).toMatchObject({ digest: sha512 });
  });

  it('takes the digest of the registry where that is a sha512', async () => {
    await using at = await against(() => serve(sha512));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ digest: sha512 });
  });

  it('refuses bytes that do not have the digest that was asked for', async () => {
    await using at = await against(() => serve());
    await expect(getManifest(at.client, at.byDigest(other))).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  it('refuses bytes that do not have the digest that came with them', async () => {
    await using at = await against(({ url }) => (url.endsWith('/1') ? serve(other) : { status: 404 }));
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  it('goes by the bytes where the registry states a wrong digest, and has them under the right one', async () => {
    await using at = await against(({ url }) => serve(url.endsWith(sha256) ? sha256 : other));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ bytes, digest: sha256 });
    await using damaged = await against(({ url }) => (url.endsWith(sha256) ? { status: 404 } : serve(other)));
    await expect(getManifest(damaged.client, damaged.tag)).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  it.each([
    [{ 'content-encoding': 'gzip' }, gzipSync(bytes)],
    [{ 'content-encoding': 'br' }, brotliCompressSync(bytes)],
  ])('reads what a gateway has compressed without being asked: %j', async (coding, body) => {
    await using at = await against(() => ({ headers: { ...serve(sha256).headers, ...coding }, body }));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ bytes, digest: sha256 });
  });

  it('refuses more than 4 MiB, however they come', async () => {
    await using at = await against(() => ({ ...serve(), body: Buffer.alloc(4 * 1024 * 1024 + 1, 32) }));
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({ class: 'permanent', code: 'limit-exceeded' });
    await using endless = await against((request, response) => {
      if (request.url === '/v2/') return undefined;
      response.writeHead(200, { 'content-type': OCI_MANIFEST });
      const timer = setInterval(() => response.write(Buffer.alloc(1024 * 1024, 32)), 1);
      response.on('close', () => clearInterval(timer));
      return 'answered';
    });
    await expect(getManifest(endless.client, endless.tag)).rejects.toMatchObject({ code: 'limit-exceeded' });
  });

  it.each([
    [404, 'MANIFEST_UNKNOWN', '', 'not-found'],
    [404, 'NAME_UNKNOWN', '', 'not-found'],
    [404, 'UNKNOWN', 'Not Found', 'not-found'],
    [404, 'DENIED', '', 'denied'],
    [404, 'SOMETHING_ELSE', '', 'refused'],
    [412, 'PROJECTPOLICYVIOLATION', '', 'refused'],
  ])('a %i with %s "%s" is %s', async (status, code, message, expected) => {
    await using at = await against(({ url }) => (url === '/v2/' ? undefined : ociError(status, code, message)));
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({ class: 'permanent', code: expected });
  });

  it('knows a signed schema 1 manifest by the digest of its payload', async () => {
    const payload = '{\n   "schemaVersion": 1,\n   "name": "a",\n   "fsLayers": []\n}';
    const formatLength = payload.length - 2;
    const header = { formatLength, formatTail: Buffer.from('\n}').toString('base64url'), time: 'x' };
    const signature = { signature: 'c2ln', protected: Buffer.from(JSON.stringify(header)).toString('base64url') };
    const signed = (document: string) =>
      Buffer.from(`${document.slice(0, formatLength)},\n   "signatures": [${JSON.stringify(signature)}]\n}`);
    const digest = digestOf(Buffer.from(payload));
    const type = { 'content-type': DOCKER_SCHEMA1_SIGNED, 'docker-content-digest': digest };
    await using at = await against(() => ({ headers: type, body: signed(payload) }));
    expect(await getManifest(at.client, at.tag)).toMatchObject({ digest, mediaType: DOCKER_SCHEMA1_SIGNED });
    // The same payload before other content.
    const forged = signed(payload).toString().replace(',\n   "signatures"', ',\n   "fsLayers": [1],\n   "signatures"');
    await using forger = await against(() => ({ headers: type, body: forged }));
    await expect(getManifest(forger.client, forger.byDigest(digest))).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
  });
});

describe('the media type of a manifest', () => {
  const type = (body: unknown, contentType?: string) => typeOfManifest(Buffer.from(JSON.stringify(body)), contentType);
  const image = { schemaVersion: 2, config: { mediaType: 'x' }, layers: [] };
  const index = { schemaVersion: 2, manifests: [] };

  it('is the one stated, without parameters', () => {
    expect(type(image, `${OCI_MANIFEST}; charset=utf-8`)).toEqual({ mediaType: OCI_MANIFEST });
    expect(type({ ...image, mediaType: OCI_MANIFEST }, OCI_MANIFEST)).toEqual({ mediaType: OCI_MANIFEST });
  });

  it.each([
    'binary/octet-stream',
    'application/x-www-form-urlencoded',
    'application/x-tar',
    'application/gzip',
    'application/xml',
    'text/x-json',
    '',
  ])('is found in the body where a file store says "%s"', (contentType) => {
    expect(type({ ...image, mediaType: DOCKER_MANIFEST }, contentType)).toEqual({ mediaType: DOCKER_MANIFEST });
    expect(type({ ...image, mediaType: '' }, contentType)).toEqual({ mediaType: OCI_MANIFEST });
  });

  it('is found in the body where the registry says nothing useful', () => {
    expect(type({ ...image, mediaType: DOCKER_MANIFEST }, 'application/json')).toEqual({ mediaType: DOCKER_MANIFEST });
    expect(type(image, 'application/octet-stream')).toEqual({ mediaType: OCI_MANIFEST });
    expect(type(index, 'text/plain')).toEqual({ mediaType: OCI_INDEX });
    expect(type({ ...index, manifests: [{ mediaType: DOCKER_MANIFEST }] })).toEqual({ mediaType: DOCKER_LIST });
    expect(type({ schemaVersion: 1, signatures: [] })).toEqual({ mediaType: DOCKER_SCHEMA1_SIGNED });
  });

  it("is the body's own where the registry names the same kind in the other format", () => {
    expect(type({ ...image, mediaType: OCI_MANIFEST }, DOCKER_MANIFEST)).toEqual({ mediaType: OCI_MANIFEST });
    expect(type({ ...index, mediaType: DOCKER_LIST }, OCI_INDEX)).toEqual({ mediaType: DOCKER_LIST });
  });

  it.each([
    ['two types', { ...index, mediaType: OCI_INDEX }, OCI_MANIFEST],
    ['two types, one of which is unknown', { ...image, mediaType: OCI_MANIFEST }, 'application/vnd.example'],
    ['an index that is served as an image', index, OCI_MANIFEST],
    ['an image that is served as an index', image, OCI_INDEX],
    ['both', { ...image, ...index }, OCI_INDEX],
    ['neither', { schemaVersion: 2 }, 'application/json'],
    ['a type that is none', { ...image, mediaType: 'a\nb' }, undefined],
  ])('is refused for %s (CVE-2021-41190)', (_what, body, contentType) => {
    expect(type(body, contentType)).toHaveProperty('fault');
  });
});

describe('putManifest', () => {
  const manifest = { bytes, mediaType: OCI_MANIFEST, digest: sha256 };

  it.each([200, 201, 202])('sends the bytes and takes %i with the right digest', async (status) => {
    await using at = await against(() => ({ status, headers: { 'docker-content-digest': sha256 } }));
    expect(await putManifest(at.client, at.tag, manifest)).toBe(sha256);
    const [put] = at.registry.requests;
    expect(put).toMatchObject({ method: 'PUT', url: '/v2/team/app/manifests/1', body: bytes });
    expect(put?.headers['content-type']).toBe(OCI_MANIFEST);
  });

  it('takes a sha512 of the same bytes', async () => {
    await using at = await against(() => ({ status: 201, headers: { 'docker-content-digest': sha512 } }));
    expect(await putManifest(at.client, at.tag, manifest)).toBe(sha512);
  });

  it('makes sure by HEAD where the registry does not say the digest', async () => {
    await using at = await against(({ method }) => (method === 'PUT' ? { status: 201 } : serve(sha256)));
    expect(await putManifest(at.client, at.tag, manifest)).toBe(sha256);
    expect(at.registry.log()).toEqual(['PUT /v2/team/app/manifests/1', 'HEAD /v2/team/app/manifests/1']);
  });

  it('fails where the registry stored something else', async () => {
    await using at = await against(() => ({ status: 201, headers: { 'docker-content-digest': other } }));
    await expect(putManifest(at.client, at.tag, manifest)).rejects.toMatchObject({ code: 'digest-mismatch' });
    await using silent = await against(({ method }) => (method === 'PUT' ? { status: 201 } : serve(other)));
    await expect(putManifest(silent.client, silent.tag, manifest)).rejects.toMatchObject({ code: 'digest-mismatch' });
  });

  it('goes by what the registry has where it states a wrong digest, or answers HEAD with 404', async () => {
    await using wrong = await against(({ method }) => {
      if (method === 'PUT') return { status: 201, headers: { 'docker-content-digest': other } };
      return serve(sha256);
    });
    expect(await putManifest(wrong.client, wrong.tag, manifest)).toBe(sha256);
    await using silent = await against(({ method }) => {
      if (method === 'HEAD') return { status: 404 };
      return method === 'PUT' ? { status: 201 } : serve(sha256);
    });
    expect(await putManifest(silent.client, silent.tag, manifest)).toBe(sha256);
  });

  it('sends nothing whose digest is wrong', async () => {
    await using at = await against(() => ({ status: 201 }));
    await expect(putManifest(at.client, at.byDigest(other), manifest)).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
    await expect(putManifest(at.client, at.tag, { ...manifest, digest: other })).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
    expect(at.registry.requests).toEqual([]);
  });

  it.each([
    [400, 'TAG_INVALID', "The image tag '1' already exists and cannot be overwritten because the tag is immutable."],
    [412, 'PRECONDITION', 'configured as immutable'],
    [409, 'CONFLICT', 'immutable'],
    [403, 'DENIED', 'tag is protected'],
    [409, 'CONFLICT', 'Tag 1 already exist'],
    [403, 'DENIED', 'the image 1 cannot be overridden'],
    [400, 'UNKNOWN', 'image tags must not be overwritten'],
    [400, 'MANIFEST_INVALID', 'Repository does not allow updating assets: docker-hosted'],
  ])('takes a %i for an immutable tag as success where the tag is right already', async (status, code, message) => {
    await using same = await against(({ method }) =>
      method === 'PUT' ? ociError(status, code, message) : serve(sha256),
    );
    expect(await putManifest(same.client, same.tag, manifest)).toBe(sha256);
    await using moved = await against(({ method }) =>
      method === 'PUT' ? ociError(status, code, message) : serve(other),
    );
    await expect(putManifest(moved.client, moved.tag, manifest)).rejects.toMatchObject({
      class: 'permanent',
      code: 'tag-immutable',
      mend: expect.stringContaining(other),
    });
  });

  const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  it.each([
    [OCI_MANIFEST, '{}', `takes ${OCI_MANIFEST}: a newer version may`],
    [OCI_INDEX, '{}', 'or copy one platform of it'],
    [DOCKER_MANIFEST, '{}', 'docker2s2'],
    [DOCKER_SCHEMA1_SIGNED, '{}', 'schema 1'],
    [
      DOCKER_MANIFEST,
      `{"layers":[{"mediaType":"${foreign}","digest":"${other}","size":3,"urls":["https://far.example"]}]}`,
      'allow those urls',
    ],
  ])('says what a registry may not take about %s %s', async (mediaType, text, mend) => {
    await using at = await against(({ url }) => (url === '/v2/' ? undefined : ociError(400, 'MANIFEST_INVALID')));
    const body = Buffer.from(text);
    await expect(
      putManifest(at.client, at.tag, { bytes: body, mediaType, digest: digestOf(body) }),
    ).rejects.toMatchObject({ code: 'refused', mend: expect.stringContaining(mend) });
  });

  it('takes the denial of a layer that stays where its urls lead for one of its urls, for good', async () => {
    const layer = { mediaType: foreign, digest: other, size: 3, urls: ['https://far.example'] };
    const answer = {
      status: 500,
      body: JSON.stringify({
        errors: [
          { code: 'UNKNOWN', message: 'unknown error' },
          { code: 'UNKNOWN', message: 'unknown error', detail: 'invalid URL on layer' },
          { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown to registry', detail: other },
        ],
      }),
    };
    const put = async (layers: object[]) => {
      await using at = await against(({ url }) => (url === '/v2/' ? undefined : answer));
      const bytes = Buffer.from(JSON.stringify({ layers }));
      const image = { bytes, mediaType: DOCKER_MANIFEST, digest: digestOf(bytes) };
      const error = await putManifest(at.client, at.tag, image).catch((thrown) => thrown);
      return { error, puts: at.registry.log().filter((line) => line.startsWith('PUT')).length };
    };
    const denied = await put([layer]);
    expect(denied).toMatchObject({ error: { class: 'permanent', mend: expect.stringContaining('allow') }, puts: 1 });
    // A layer that the registry should hold may come with the next try.
    const missing = await put([{ ...layer, urls: [] }]);
    expect(missing.error).toMatchObject({ class: 'transient', code: 'blob-unknown' });
  });

  it('says that a blob is missing, so that the copy asks for each', async () => {
    await using at = await against(({ url }) => (url === '/v2/' ? undefined : ociError(400, 'MANIFEST_BLOB_UNKNOWN')));
    await expect(putManifest(at.client, at.tag, manifest)).rejects.toMatchObject({
      class: 'transient',
      code: 'blob-unknown',
    });
  });
});

describe('a registry whose manifests are elsewhere', () => {
  /** Its store of files has none; the tags are those of its list. */
  async function redirecting(list: ScriptedAnswer) {
    const store = await scriptedRegistry(() => ({ status: 404, body: '<Error><Code>NoSuchKey</Code></Error>' }));
    onTestFinished(() => store[Symbol.asyncDispose]());
    return against(({ url }) => {
      if (url === '/v2/') return undefined;
      if (url.includes('/tags/list')) return list;
      return { status: 307, headers: { location: `${store.url}/files/1` } };
    });
  }

  const tags = (...names: string[]): ScriptedAnswer => ({ body: JSON.stringify({ tags: names }) });

  it('lacks a manifest, and no blob, where its redirect leads to nothing', async () => {
    await using at = await redirecting(tags());
    await expect(getManifest(at.client, at.tag)).rejects.toMatchObject({
      class: 'permanent',
      code: 'not-found',
      message: expect.stringContaining('where the registry sends its clients (NoSuchKey)'),
    });
  });

  it('is believed that a tag is gone only where its list lacks it as well', async () => {
    await using without = await redirecting(tags('2'));
    expect(await isTagGone(without.client, without.tag)).toBe(true);
    await using having = await redirecting(tags('2', '1'));
    expect(await isTagGone(having.client, having.tag)).toBe(false);
    await using silent = await redirecting(ociError(404, 'NAME_UNKNOWN'));
    await expect(isTagGone(silent.client, silent.tag)).rejects.toMatchObject({ code: 'not-found' });
  });
});
