import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { pushImage, pushIndex, pushMultiArch } from '../../testing/images.ts';
import { deleteManifest, type PushTarget, pushBlob } from '../../testing/push.ts';
import { startRegistry } from '../../testing/registry/server.ts';
import {
  type DistributionOptions,
  password,
  startDistribution,
  startDistributionPair,
  testAuthority,
  username,
} from '../support/distribution.ts';
import {
  digestHeaderMissing,
  endlessTags,
  type Fault,
  hugeManifest,
  mountRefused,
  patchRefused,
  throttled,
} from '../support/faults.ts';
import { startFaultyRegistry } from '../support/faulty-registry.ts';
import {
  pushArtifact,
  pushAttestedIndex,
  pushCosignSignature,
  pushForeignLayerImage,
  pushReferrersTag,
  pushSchema1,
} from '../support/images.ts';
import { inspectDigest, skopeo, toolsReady } from '../support/tools.ts';

const closers: Array<() => Promise<void>> = [];

function closing<T extends { close(): Promise<void> }>(started: T): T {
  closers.push(() => started.close());
  return started;
}

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const login = ['--creds', `${username}:${password}`];

describe.skipIf(!toolsReady('docker-registry', 'skopeo'))('CNCF distribution', () => {
  const modes: DistributionOptions[] = [
    { auth: 'none' },
    { auth: 'htpasswd' },
    { auth: 'token' },
    { auth: 'token', tls: true },
  ];

  it.each(modes)('with $auth, tls $tls, takes images and lets another client copy them', async (mode) => {
    const { source, destination } = closing(await startDistributionPair(mode));
    const target: PushTarget = { url: source.url, repository: 'team/app', username, password };
    if (mode.tls) target.ca = testAuthority;
    const index = await pushMultiArch(target, { seed: 'x', tag: '1', platforms: ['linux/amd64', 'linux/arm64/v8'] });
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const logins = mode.auth === 'none' ? [] : ['--src-creds', login[1]!, '--dest-creds', login[1]!];
    const [from, to] = [`${source.host}/team/app:1`, `${destination.host}/copy/app:1`];
    await skopeo(['copy', '--all', ...plain, ...logins, `docker://${from}`, `docker://${to}`]);
    const flags = ['--tls-verify=false', ...(mode.auth === 'none' ? [] : login)];
    expect(await inspectDigest(to, flags)).toEqual({ bytes: index.bytes, digest: index.digest });
    expect(source.tokensIssued() > 0).toBe(mode.auth === 'token');
  });

  it.each([{ auth: 'htpasswd' }, { auth: 'token' }] as DistributionOptions[])(
    'with $auth, refuses others',
    async (mode) => {
      const { url } = closing(await startDistribution(mode));
      const target = { url, repository: 'team/app', username, password: 'wrong' };
      await expect(pushBlob(target, 'any/type', Buffer.from('x'))).rejects.toThrow(/401/);
    },
  );

  it('takes the rarer kinds of images', async () => {
    const { url, host } = closing(await startDistribution());
    const target = { url, repository: 'rare' };
    const image = await pushImage(target, { seed: 'x', layers: [], format: 'docker' });
    const nested = await pushIndex(target, { entries: [{ manifest: image }], format: 'docker' });
    await pushIndex(target, { tag: 'nested', entries: [{ manifest: nested }] });
    await pushAttestedIndex(target, [image], { tag: 'attested' });
    const artifact = await pushArtifact(target, { artifactType: 'test/x', seed: 'x', subject: image });
    await pushReferrersTag(target, image, [artifact]);
    await pushCosignSignature(target, image);
    await pushForeignLayerImage(target, { seed: 'x', url: 'https://example.com/layer', tag: 'foreign' });
    const old = await pushSchema1(target, { seed: 'x', tag: 'old' });
    expect((await inspectDigest(`${host}/rare:old`)).digest).toBe(old.digest);
    const { body } = await request(`${url}/v2/rare/tags/list`);
    const hex = image.digest.replace(':', '-');
    expect(await body.json()).toEqual({
      name: 'rare',
      tags: expect.arrayContaining(['attested', 'foreign', 'nested', 'old', hex, `${hex}.sig`]),
    });
    await deleteManifest(target, old.digest);
    expect((await request(`${url}/v2/rare/manifests/${old.digest}`)).statusCode).toBe(404);
  });

  it('tells of pushes', async () => {
    const told = Promise.withResolvers<string>();
    const listener = createServer(async (incoming, answer) => {
      let text = '';
      for await (const chunk of incoming) text += chunk;
      answer.end();
      if (text.includes('manifest')) told.resolve(text);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    closers.push(async () => void listener.close());
    const notifyUrl = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
    const { url } = closing(await startDistribution({ notifyUrl }));
    const image = await pushImage({ url, repository: 'team/app' }, { seed: 'x', tag: '1' });
    const { events } = JSON.parse(await told.promise);
    expect(events).toContainEqual(
      expect.objectContaining({ action: 'push', target: expect.objectContaining({ digest: image.digest, tag: '1' }) }),
    );
  });
});

describe('the misbehaving double', () => {
  async function start(...faults: Fault[]) {
    const registry = closing(await startRegistry());
    const double = closing(await startFaultyRegistry({ upstream: registry.url, faults }));
    const blob = registry.content.addGeneratedBlob('a', 'seed', 300_000);
    const bytes = Buffer.concat([...blob.read(0, blob.size)]);
    const get = (path = `/v2/a/blobs/${blob.digest}`, headers = {}) => request(double.url + path, { headers });
    return { registry, double, blob, bytes, get };
  }
  const blobRead = { method: 'GET', path: /\/blobs\// };

  it('changes nothing when it is told nothing', async () => {
    const { double, registry, bytes, get } = await start();
    expect(Buffer.from(await (await get()).body.arrayBuffer()).equals(bytes)).toBe(true);
    const image = await pushImage({ url: double.url, repository: 'b' }, { seed: 'x', tag: '1' });
    expect(registry.content.manifest('b', '1')?.digest).toBe(image.digest);
    expect(double.find('GET', /blobs/)).toMatchObject([{ status: 200, responseBytes: 300_000, effects: [] }]);
    expect(double.requests.map((one) => one.method)).toEqual(['GET', 'POST', 'PUT', 'POST', 'PUT', 'PUT']);
  });

  it('strikes the hits it is told, and others again after setFaults', async () => {
    const { double, get } = await start({ when: { ...blobRead, hit: 2 }, effect: throttled(7) });
    const answers = [await get(), await get(), await get()];
    expect(answers.map((one) => one.statusCode)).toEqual([200, 429, 200]);
    expect(answers[1]?.headers['retry-after']).toBe('7');
    double.setFaults([{ when: { hit: { from: 1, to: 2 } }, effect: throttled(new Date(0)) }]);
    const dated = await get();
    expect(dated.headers['retry-after']).toBe('Thu, 01 Jan 1970 00:00:00 GMT');
    expect([(await get()).statusCode, (await get()).statusCode]).toEqual([429, 200]);
    for (const one of answers) await one.body.dump();
  });

  it('strikes by chance, the same with the same seed', async () => {
    const strikes = async () => {
      const { get } = await start({ when: { probability: 0.5 }, effect: throttled() });
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) {
        const answer = await get('/v2/');
        statuses.push(answer.statusCode);
        await answer.body.dump();
      }
      return statuses;
    };
    const first = await strikes();
    expect(new Set(first)).toEqual(new Set([200, 429]));
    expect(await strikes()).toEqual(first);
  });

  it.each([{ fin: true }, { fin: false }])('cuts an answer, fin $fin', async ({ fin }) => {
    const { double, get } = await start({ when: blobRead, effect: { kind: 'cut', afterBytes: 100_000, fin } });
    const answer = await get();
    expect(answer.headers['content-length']).toBe('300000');
    await expect(answer.body.arrayBuffer()).rejects.toThrow();
    expect(double.requests[0]?.responseBytes).toBe(100_000);
  });

  it('breaks an upload in the middle, of which the registry keeps the beginning', async () => {
    const effect = { kind: 'cut-request', afterBytes: 50_000 } as const;
    const { double, registry, bytes } = await start({ when: { method: 'PUT' }, effect });
    await expect(pushBlob({ url: double.url, repository: 'b' }, 'any/type', bytes)).rejects.toThrow();
    expect(double.find('PUT', /uploads/)).toMatchObject([{ requestBytes: 50_000, status: 0 }]);
    expect(registry.content.openUploads()).toBe(1);
  });

  it('spoils bytes and lengths', async () => {
    const { double, bytes, get } = await start({ when: blobRead, effect: { kind: 'flip', offset: 200_000 } });
    const flipped = Buffer.from(await (await get()).body.arrayBuffer());
    expect(flipped.length).toBe(bytes.length);
    expect(bytes.findIndex((byte, at) => byte !== flipped[at])).toBe(200_000);
    for (const change of [-10, 10]) {
      double.setFaults([{ when: blobRead, effect: { kind: 'resize', bytes: change } }]);
      const answer = await get();
      expect(answer.headers['content-length']).toBe(String(300_000 + change));
      expect((await answer.body.arrayBuffer()).byteLength).toBe(300_000 + change);
    }
  });

  it('stalls until the client goes', async () => {
    const { double, get } = await start({ when: blobRead, effect: { kind: 'stall', afterBytes: 10 } });
    const { body } = await get();
    const [chunk] = await body.take(1).toArray();
    expect(chunk.length).toBe(10);
    body.destroy();
    double.setFaults([{ when: { method: 'PATCH' }, effect: { kind: 'stall-request', afterBytes: 10 } }]);
    const begun = await request(`${double.url}/v2/a/blobs/uploads/`, { method: 'POST' });
    const location = new URL(String(begun.headers.location), double.url);
    const signal = AbortSignal.timeout(100);
    await expect(request(location, { method: 'PATCH', body: 'x'.repeat(100), signal })).rejects.toThrow();
  });

  it('drips', async () => {
    const { get } = await start({ when: blobRead, effect: { kind: 'drip', bytes: 100_000, everyMs: 1 } });
    expect((await (await get()).body.arrayBuffer()).byteLength).toBe(300_000);
  });

  it('sends elsewhere, where it can be seen what came along', async () => {
    const { registry, double, blob, bytes, get } = await start();
    const bucket = closing(await startFaultyRegistry({ upstream: registry.url }));
    double.setFaults([{ when: blobRead, effect: { kind: 'redirect', to: (url) => bucket.url + url } }]);
    const answer = await get(undefined, { authorization: 'Basic x' });
    expect([answer.statusCode, answer.headers.location]).toEqual([307, `${bucket.url}/v2/a/blobs/${blob.digest}`]);
    const followed = await request(String(answer.headers.location));
    expect(Buffer.from(await followed.body.arrayBuffer()).equals(bytes)).toBe(true);
    expect(double.requests[0]?.headers.authorization).toBe('Basic x');
    expect(bucket.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('refuses mounts and chunks, and keeps digests to itself', async () => {
    const { double, registry, blob } = await start(mountRefused, patchRefused, digestHeaderMissing);
    const mount = `${double.url}/v2/b/blobs/uploads/?mount=${blob.digest}&from=a`;
    const begun = await request(mount, { method: 'POST' });
    expect(begun.statusCode).toBe(202);
    const location = new URL(String(begun.headers.location), double.url);
    expect((await request(location, { method: 'PATCH', body: 'x' })).statusCode).toBe(405);
    await pushImage({ url: registry.url, repository: 'a' }, { seed: 'x', tag: '1' });
    const { headers } = await request(`${double.url}/v2/a/manifests/1`, { method: 'HEAD' });
    expect(headers['docker-content-digest']).toBeUndefined();
    expect(headers['content-type']).toBe('application/vnd.oci.image.manifest.v1+json');
  });

  it('has tags without end and manifests without measure', async () => {
    const { get } = await start(endlessTags('a'), hugeManifest('application/vnd.oci.image.index.v1+json'));
    expect((await get('/v2/a/tags/list')).headers.link).toBe('</v2/a/tags/list?last=b>; rel="next"');
    expect((await (await get('/v2/a/manifests/1')).body.arrayBuffer()).byteLength).toBe(4 * 1024 * 1024 + 1);
  });
});
