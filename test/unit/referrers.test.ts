import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { findReferrers } from '../../core/copy/find-referrers.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../core/model/media-types.ts';
import type { ReferrerChoice } from '../../core/model/referrer.ts';
import type { Rule } from '../../core/model/rule.ts';
import { verifyRule } from '../../core/pipeline/verify.ts';
import { MOST_REFERRERS } from '../../core/registry/referrers.ts';
import { pushImage, pushMultiArch } from '../../testing/images.ts';
import type { Descriptor, PushTarget } from '../../testing/push.ts';
import { type EmbeddedRegistry, type RegistryOptions, startRegistry } from '../../testing/registry/server.ts';
import { pushArtifact, pushCosignSignature, pushReferrersTag } from '../support/images.ts';
import { machineFor } from '../support/machine.ts';
import {
  ociError,
  type Script,
  type ScriptedAnswer,
  scriptedRegistry,
  testClient,
} from '../support/scripted-registry.ts';
import { temporaryState } from '../support/state.ts';
import { syncRules } from '../support/sync.ts';

const state = temporaryState();
const closing: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  state.clean();
});

const bundle = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const spdx = 'application/spdx+json';

/** Two registries and a machine that copies all tags from one to the other. */
async function open(from: RegistryOptions = {}, to: RegistryOptions = from) {
  const [source, destination] = await Promise.all([startRegistry(from), startRegistry(to)]);
  const directory = state.directory();
  const credentials = { lookup: async () => ({ insecure: true }) };
  const machine = machineFor(directory, { credentials, signal: new AbortController().signal });
  closing.push(() => machine.close(), source.close, destination.close);
  const at = { url: source.url, repository: 'app' };
  const rule: Rule = {
    id: 'app',
    from: { registry: source.host, repository: 'app' },
    select: { kind: 'all' },
    to: [{ registry: destination.host, repository: 'mirror' }],
    platforms: { platforms: [], os: [], arch: [] },
  };
  return {
    source,
    destination,
    machine,
    at,
    rule,
    sync: (over: Partial<Rule> = {}) => syncRules(machine, [{ ...rule, ...over }]),
    has: (reference: string) =>
      destination.content.has('mirror') && destination.content.manifest('mirror', reference) !== undefined,
  };
}

const only = (...types: string[]): { referrers: ReferrerChoice } => ({ referrers: { types } });
const attach = (at: PushTarget, subject: Descriptor, artifactType = bundle, seed = 'a') =>
  pushArtifact(at, { artifactType, seed, subject, annotations: { 'dev.sigstore.bundle.content': 'x' } });
const bareTag = (digest: string) => digest.replace(':', '-');
const indexAt = (registry: EmbeddedRegistry, repository: string, subject: string) =>
  JSON.parse(registry.content.manifest(repository, bareTag(subject))?.bytes.toString() ?? 'null');

describe('what refers to an image', () => {
  it.each<[string, RegistryOptions, RegistryOptions]>([
    ['the API to the API', {}, {}],
    ['the API to none', {}, { referrers: 'none' }],
    ['none to the API', { referrers: 'none' }, {}],
    ['none to none', { referrers: 'none' }, { referrers: 'none' }],
    ['a paged API to none', { referrers: 1 }, { referrers: 'none' }],
  ])('comes along, from %s', async (_, from, to) => {
    const { destination, at, sync, has } = await open(from, to);
    const image = await pushMultiArch(at, { seed: 'a', tag: 'v1', platforms: ['linux/amd64', 'linux/arm64'] });
    const [child] = image.images;
    const signature = await attach(at, image);
    const sbom = await attach(at, child!, spdx);
    const signedSbom = await attach(at, sbom);
    const other = await attach(at, image, 'application/vnd.example');
    const attestation = await pushArtifact(at, {
      artifactType: 'x/y',
      seed: 'b',
      tag: `${bareTag(child!.digest)}.att`,
    });
    if (from.referrers === 'none') {
      // As go-containerregistry writes it: the configuration's type, no annotations (sigstore/cosign#4641).
      const odd = { ...signature, artifactType: 'application/vnd.oci.empty.v1+json' };
      await pushReferrersTag(at, image, [odd, other]);
      await pushReferrersTag(at, child!, [sbom]);
      await pushReferrersTag(at, sbom, [{ ...signedSbom, artifactType: undefined }]);
    }
    const atItsTag: boolean[] = [];
    const { putManifest } = destination.content;
    destination.content.putManifest = (...put) => {
      // What an admission policy would find in the moment in which the tag is there.
      if (put[1] === 'v1') atItsTag.push(to.referrers === 'none' ? has(bareTag(image.digest)) : has(signature.digest));
      return putManifest(...put);
    };
    const { outcomes } = await sync();
    expect(atItsTag).toEqual([true]);
    expect(outcomes).toMatchObject([{ result: 'copied', destinationDigest: image.digest }]);
    expect(outcomes[0]?.note).toBeUndefined();
    for (const { digest, bytes } of [signature, sbom, signedSbom]) {
      expect(destination.content.manifest('mirror', digest)?.bytes.equals(bytes)).toBe(true);
    }
    expect(has(`${bareTag(child!.digest)}.att`)).toBe(true);
    expect(destination.content.manifest('mirror', `${bareTag(child!.digest)}.att`)?.digest).toBe(attestation.digest);
    expect(has(other.digest)).toBe(false);
    // Before the tag, and the tag last.
    const puts = destination.requests.filter(({ operation }) => operation === 'put manifest').map(({ path }) => path);
    expect(puts.at(-1)).toBe('/v2/mirror/manifests/v1');
    if (to.referrers !== 'none') expect(has(bareTag(image.digest))).toBe(false);
    else {
      expect(indexAt(destination, 'mirror', image.digest).manifests).toEqual([
        {
          mediaType: signature.mediaType,
          digest: signature.digest,
          size: signature.size,
          artifactType: bundle,
          annotations: { 'dev.sigstore.bundle.content': 'x' },
        },
      ]);
      expect(indexAt(destination, 'mirror', sbom.digest).manifests).toHaveLength(1);
    }
  });

  it('is narrowed by artifact type, and switched off', async () => {
    const { at, sync, has, source } = await open();
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    const signature = await attach(at, image);
    const sbom = await attach(at, image, spdx);
    await pushCosignSignature(at, image);
    source.requests.length = 0;
    await sync(only());
    expect(source.count('list referrers')).toBe(0);
    await sync({ ...only(spdx), id: 'sbom', to: [{ registry: (await open()).destination.host, repository: 'x' }] });
    expect(source.requests.find(({ operation }) => operation === 'list referrers')?.path).toContain(
      '?artifactType=application%2Fspdx',
    );
    expect([has(signature.digest), has(sbom.digest), has(`${bareTag(image.digest)}.sig`)]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('leaves what others noted in the index of a destination', async () => {
    const { destination, at, sync } = await open({}, { referrers: 'none' });
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    await attach(at, image);
    const there = { url: destination.url, repository: 'mirror' };
    const theirs = await attach(there, image, bundle, 'theirs');
    const { mediaType, digest, size } = theirs;
    const entry = {
      ...{ mediaType, digest, size, artifactType: bundle },
      platform: { os: 'windows', architecture: 'amd64', 'os.features': ['win32k'] },
      ...{ data: 'e30=', urls: ['https://layers.example/a'], 'com.example.extra': { a: 1 } },
    };
    const index = {
      ...{ schemaVersion: 2, mediaType: OCI_INDEX, artifactType: 'application/vnd.list' },
      ...{ manifests: [entry], annotations: { 'com.example.keep': 'me' } },
    };
    const bytes = Buffer.from(JSON.stringify(index));
    destination.content.putManifest('mirror', bareTag(image.digest), OCI_INDEX, bytes);
    await sync();
    const { manifests, ...rest } = indexAt(destination, 'mirror', image.digest);
    expect(manifests).toEqual([entry, expect.objectContaining({ artifactType: bundle })]);
    expect({ ...rest, manifests: [entry] }).toEqual(index);
  });

  it('is added to one index by several copies at a time', async () => {
    const { destination, at, sync, rule } = await open({}, { referrers: 'none' });
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    for (let n = 0; n < 5; n += 1) {
      await pushImage(at, { seed: 'a', tag: `v1.${n}` });
      await attach(at, image, bundle, `${n}`);
    }
    await sync({ to: rule.to });
    expect(indexAt(destination, 'mirror', image.digest).manifests).toHaveLength(5);
  });
});

describe('an image that is in step', () => {
  const hour = 3_600_000;
  const start = Date.UTC(2030, 0, 1);
  afterEach(() => void vi.useRealTimers());

  /** A source with an image that was copied, and the clock in our hands. */
  const copied = async (from: RegistryOptions = {}, to: RegistryOptions = from) => {
    vi.useFakeTimers({ toFake: ['Date'], now: start });
    const place = await open(from, to);
    const image = await pushMultiArch(place.at, { seed: 'a', tag: 'v1', platforms: ['linux/amd64', 'linux/arm64'] });
    await place.sync();
    const runAt = async (hours: number, over?: Partial<Rule>) => {
      vi.setSystemTime(start + hours * hour);
      for (const registry of [place.source, place.destination]) registry.requests.length = 0;
      const { outcomes } = await place.sync(over);
      return outcomes.map(({ result }) => result);
    };
    return { ...place, image, runAt };
  };

  it.each(['.sig', ''])('gets a signature of one of its platforms whose tag shows in the list: %s', async (suffix) => {
    const { at, image, runAt, has } = await copied({ referrers: 'none' });
    const child = image.images[1]!;
    const signature = suffix === '' ? await attach(at, child) : await pushCosignSignature(at, child);
    if (suffix === '') await pushReferrersTag(at, child, [signature]);
    expect(await runAt(0.01)).toEqual(['copied']);
    expect(has(signature.digest)).toBe(true);
    expect(await runAt(0.02)).toEqual([]);
  });

  it('is asked about ever more rarely where only the API tells', async () => {
    const { at, image, source, runAt, has } = await copied();
    const asked = async (hours: number) => {
      await runAt(hours);
      return source.count('list referrers');
    };
    expect([await asked(0.1), await asked(0.2), await asked(0.3), await asked(1), await asked(1.9)]).toEqual([
      0, 3, 0, 3, 0,
    ]);
    expect([await asked(48), await asked(49), await asked(71), await asked(72)]).toEqual([3, 0, 0, 3]);
    const signature = await attach(at, image);
    expect(await runAt(95)).toEqual([]);
    expect(await runAt(96)).toEqual(['copied']);
    expect(has(signature.digest)).toBe(true);
    expect(await runAt(96.1)).toEqual([]);
    expect(await runAt(97, { referrers: { types: ['signatures'], recheckMs: 60_000 } })).toEqual(['unchanged']);
  });

  it('gets back what its destination lost, when the list of tags or verify shows it', async () => {
    const { at, image, destination, machine, rule, runAt, has } = await copied();
    const [beside, attached] = [await pushCosignSignature(at, image), await attach(at, image)];
    expect(await runAt(1)).toEqual(['copied']);
    destination.content.deleteManifest('mirror', `${bareTag(image.digest)}.sig`);
    expect(await runAt(1.01)).toEqual(['copied']);
    expect(destination.content.manifest('mirror', `${bareTag(image.digest)}.sig`)?.digest).toBe(beside.digest);
    destination.content.deleteManifest('mirror', attached.digest);
    expect(await runAt(1.02)).toEqual([]);
    const { client, signal } = machine.copy;
    const verify = () => verifyRule({ client, signal, ledger: machine.ledger, now: Date.now }, rule);
    expect(await verify()).toMatchObject([{ state: 'incomplete', lacks: [attached.digest] }]);
    expect(await runAt(1.03)).toEqual(['copied']);
    expect(has(attached.digest)).toBe(true);
    expect(await verify()).toMatchObject([{ state: 'ok' }]);
  });

  it('that somebody else brought is completed once', async () => {
    const { source, destination, at, sync, has } = await open({}, {});
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    await pushImage({ url: destination.url, repository: 'mirror' }, { seed: 'a', tag: 'v1' });
    const signature = await attach(at, image);
    expect((await sync()).outcomes).toMatchObject([{ result: 'copied', note: 'what refers to it' }]);
    expect(has(signature.digest)).toBe(true);
    source.requests.length = 0;
    expect((await sync()).outcomes).toEqual([]);
    expect(source.count('list referrers')).toBe(0);
  });

  it.each([
    { tags: 200, what: 'the API, nothing signed', options: {}, isSigned: false, cold: 1, due: 1 },
    {
      tags: 200,
      what: 'no API, nothing signed',
      options: { referrers: 'none' as const },
      isSigned: false,
      cold: 0,
      due: 0,
    },
    { tags: 40, what: 'the API, all signed', options: {}, isSigned: true, cold: 4, due: 3 },
    { tags: 40, what: 'no API, all signed', options: { referrers: 'none' as const }, isSigned: true, cold: 2, due: 1 },
  ])('costs what docs/signatures.md says, for $tags tags: $what', async ({ tags, options, isSigned, cold, due }) => {
    vi.useFakeTimers({ toFake: ['Date'], now: start });
    const { source, at, sync, rule } = await open(options);
    const image = await pushImage(at, { seed: 'a' });
    for (let n = 0; n < tags; n += 1) {
      const bytes = Buffer.from(JSON.stringify({ ...JSON.parse(image.bytes.toString()), annotations: { n: `${n}` } }));
      const { digest } = source.content.putManifest('app', `v${n}`, image.mediaType, bytes);
      const sig = Buffer.from(JSON.stringify({ ...JSON.parse(image.bytes.toString()), annotations: { of: digest } }));
      if (isSigned) source.content.putManifest('app', `${bareTag(digest)}.sig`, image.mediaType, sig);
    }
    const asked = async (hours: number, over?: Partial<Rule>) => {
      vi.setSystemTime(start + hours * hour);
      source.requests.length = 0;
      const { outcomes } = await sync(over);
      return [outcomes.length, source.requests.filter(({ operation }) => operation !== 'ping').length];
    };
    const plain = { id: 'plain', ...only(), to: rule.to.map((to) => ({ ...to, repository: 'plain' })) };
    const [, base = 0] = await asked(0, plain);
    const [copies, first = 0] = await asked(0);
    expect(copies).toBe(tags);
    // Whether there is an API is asked once; the first copy of all moves two blobs.
    expect((first - base) / tags).toBeCloseTo(cold, 0);
    await asked(48);
    const [, unchanged = 0] = await asked(48, plain);
    for (const hours of [49, 71]) expect(await asked(hours)).toEqual([0, unchanged]);
    const [changes, daily = 0] = await asked(72);
    expect(changes).toBe(0);
    expect((daily - unchanged) / tags).toBeCloseTo(due, 0);
  });
});

describe('a source that lists something odd', () => {
  it('is told of artifacts that are gone, or speak of something else, and copied all the same', async () => {
    const { source, at, sync, has } = await open({ referrers: 'none' });
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    const other = await pushImage(at, { seed: 'b', tag: 'v2' });
    const [signature, gone, wrong] = [
      await attach(at, image),
      await attach(at, image, bundle, 'gone'),
      await attach(at, other),
    ];
    await pushReferrersTag(at, image, [gone, wrong, { ...image, artifactType: bundle }, signature]);
    source.content.deleteManifest('app', gone.digest);
    const { outcomes } = await sync();
    expect(outcomes.map(({ result }) => result)).toEqual(['copied', 'copied']);
    const { note } = outcomes.find(({ source: { tag } }) => tag === 'v1') ?? {};
    expect(note).toContain(`${gone.digest}, which refers to the image, was left out: get manifest`);
    expect(note).toContain('; and 1 more');
    expect([signature, gone, wrong].map(({ digest }) => has(digest))).toEqual([true, false, false]);
  });

  it('may have an index behind a tag of a signature', async () => {
    const { at, sync, destination } = await open();
    const image = await pushImage(at, { seed: 'a', tag: 'v1' });
    const odd = await pushMultiArch(at, { seed: 'b', tag: `${bareTag(image.digest)}.sig`, platforms: ['linux/s390x'] });
    await sync();
    expect(destination.content.manifest('mirror', `${bareTag(image.digest)}.sig`)?.digest).toBe(odd.digest);
  });

  const subject = `sha256:${'5'.repeat(64)}`;
  const find = async (script: Script, types = ['signatures'], of = subject) => {
    await using registry = await scriptedRegistry(script);
    await using client = testClient();
    const source = { registry: registry.host, repository: 'app' };
    const { signal } = new AbortController();
    const found = await findReferrers({ client, source, subjects: [of], choice: { types }, signal });
    return { ...found, log: registry.log() };
  };
  const json = (document: object) => ({
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(document),
  });
  const entryOf = (hex: string) => ({
    mediaType: OCI_MANIFEST,
    digest: `sha256:${hex.padStart(64, '0')}`,
    size: 2,
    artifactType: bundle,
  });
  const indexOf = (...manifests: object[]) => ({
    headers: { 'content-type': OCI_INDEX },
    body: JSON.stringify({ schemaVersion: 2, manifests }),
  });
  const bare = subject.replace(':', '-');

  it(`takes ${MOST_REFERRERS} of 100,000, and says so`, async () => {
    const body = indexOf(...Array.from({ length: 100_000 }, (_, n) => entryOf(n.toString(16))));
    const { referrers, notes } = await find(({ url }) =>
      url.includes('/tags/list') ? json({ tags: [] }) : url.endsWith(subject) ? body : indexOf(),
    );
    expect(referrers).toHaveLength(MOST_REFERRERS);
    expect(notes[0]).toContain('more than 1000 artifacts');
  });

  it('cannot lead round in circles, or deeper than four levels', async () => {
    const { referrers, log } = await find(({ url }) => {
      if (url.includes('/tags/list')) return json({ tags: [] });
      const at = /referrers\/(.*)$/.exec(url)?.[1] ?? '';
      const next = at === subject ? '1' : (Number.parseInt(at.slice(7), 16) + 1).toString(16);
      return indexOf(entryOf(next), { ...entryOf('0'), digest: at }, { ...entryOf('0'), digest: subject });
    });
    expect(referrers).toHaveLength(4);
    expect(log).toHaveLength(5);
  });

  it.each<[string, ScriptedAnswer]>([
    ['404 (CNCF distribution)', { status: 404, body: '404 page not found' }],
    ['404 with a code', ociError(404, 'NOT_FOUND')],
    ['400', ociError(400, 'UNSUPPORTED')],
    ['403 (Artifactory)', ociError(403, 'DENIED')],
    ['405', { status: 405 }],
    ['422', { status: 422 }],
    ['424 (a cache of ghcr.io at Azure)', { status: 424 }],
    ['203', { status: 203, body: '<html>login</html>' }],
    ['204', { status: 204 }],
    ['501', { status: 501 }],
    ['a web page', { headers: { 'content-type': 'text/html' }, body: '<html>login</html>' }],
    ['another document', json({ message: 'hello' })],
  ])('falls back to the index behind the tag where the API answers %s', async (_, answer) => {
    const { referrers, log } = await find(({ url }) => {
      if (url.includes('/tags/list')) return json({ tags: [bare, 'v1'] });
      if (url.includes('/referrers/')) return answer;
      return indexOf(entryOf('1'));
    });
    expect(referrers.map(({ digest }) => digest)).toEqual([entryOf('1').digest]);
    // The registry is asked once, and each subject by the list of tags.
    expect(log.filter((line) => line.includes('/referrers/'))).toHaveLength(1);
    expect(log.filter((line) => line.includes('/tags/list'))).toHaveLength(1);
  });

  it('is not asked for all its tags again for one image that was pushed, where it has thousands', async () => {
    await using registry = await scriptedRegistry(({ url }) => {
      if (url.includes('/tags/list')) return json({ tags: Array.from({ length: 3001 }, (_, n) => `v${n}`) });
      return url.includes('/referrers/') ? indexOf() : ociError(404, 'MANIFEST_UNKNOWN');
    });
    await using client = testClient();
    const question = { client, source: { registry: registry.host, repository: 'app' }, subjects: [subject] };
    const { signal } = new AbortController();
    const ask = async (since?: number) => {
      const before = registry.log().length;
      await findReferrers({ ...question, choice: { types: ['signatures', 'sboms'] }, since, signal });
      return registry
        .log()
        .slice(before)
        .map((line) => /tags\/list|referrers|\.\w+$/.exec(line)?.[0]);
    };
    expect(await ask()).toEqual(['tags/list', 'referrers']);
    expect(await ask(Date.now() + 1)).toEqual(['referrers', '.sig', '.sbom']);
  });

  it('takes no failure for an empty list, and tells how to do without one', async () => {
    const failing: Script = ({ url }) => (url.includes('/referrers/') ? ociError(500, 'UNKNOWN') : json({ tags: [] }));
    await expect(find(failing)).rejects.toMatchObject({
      class: 'transient',
      mend: expect.stringContaining('`referrers: none` into the rule, in a tranship.yaml'),
    });
  });

  it('goes by the tag where readers of the API are sent to another host, as ghcr.io does', async () => {
    await using elsewhere = await scriptedRegistry(() => ({ status: 429 }));
    const { referrers } = await find(({ url }) => {
      if (url.includes('/tags/list')) return json({ tags: [bare] });
      if (url.includes('/referrers/')) return { status: 303, headers: { location: `${elsewhere.url}/-/v2/packages` } };
      return indexOf(entryOf('1'));
    });
    expect(referrers).toHaveLength(1);
  });

  it('asks for tags by their names where it gets no list, and takes no subject for an index of referrers', async () => {
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entryOf('1')] }));
    const image = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const script: Script = ({ url }) => {
      if (url.includes('/tags/list')) return ociError(403, 'DENIED');
      if (url.includes('/referrers/')) return { status: 404 };
      // GitLab takes the tag for the digest; Artifactory says 403 of what is not there.
      if (url.endsWith(image.replace(':', '-'))) return { headers: { 'content-type': OCI_INDEX }, body };
      return ociError(403, 'DENIED');
    };
    const { referrers, log } = await find(script, ['signatures', 'sboms'], image);
    expect(referrers).toEqual([]);
    expect(log.filter((line) => /\.(?:sig|sbom)$/.test(line))).toHaveLength(4);
  });
});
