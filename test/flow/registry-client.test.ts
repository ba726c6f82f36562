import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { digestOf } from '../../core/model/digest.ts';
import { OCI_MANIFEST } from '../../core/model/media-types.ts';
import type { Repository } from '../../core/model/reference.ts';
import { headBlob, openBlob } from '../../core/registry/blobs.ts';
import { closeRegistryClient, createRegistryClient, type RegistryClient } from '../../core/registry/client.ts';
import { getManifest, headDigest, headManifest, putManifest } from '../../core/registry/manifests.ts';
import { listTags } from '../../core/registry/tags.ts';
import { cancelUpload, finishUpload, startUpload, writeUpload } from '../../core/registry/uploads.ts';
import { bytesOf, sourceFrom } from '../support/byte-sources.ts';
import {
  type Distribution,
  type DistributionOptions,
  password,
  startDistribution,
  testAuthority,
  username,
} from '../support/distribution.ts';

const content = randomBytes(3_000_000);
const blob = digestOf(content);
const config = Buffer.from('{}');
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: 'application/vnd.example.config', digest: digestOf(config), size: config.length },
    layers: [{ mediaType: 'application/octet-stream', digest: blob, size: content.length }],
  }),
);

async function push(client: RegistryClient, repository: Repository, bytes: Buffer): Promise<void> {
  const started = await startUpload(client, repository);
  if (started.kind === 'mounted') throw new Error('nothing was to be mounted');
  const digest = digestOf(bytes);
  const body = sourceFrom(Readable.from([bytes]));
  const written = await writeUpload(client, started.session, { body, size: bytes.length, digest });
  await finishUpload(client, written, digest);
}

const kinds: Array<[string, DistributionOptions, AuthEntry]> = [
  ['open, plain http', {}, { insecure: true }],
  [
    'htpasswd over TLS with an own authority',
    { auth: 'htpasswd', tls: true },
    { username, password, ca: testAuthority },
  ],
  ['tokens over plain http', { auth: 'token' }, { username, password, insecure: true }],
];

describe.each(kinds)('CNCF distribution: %s', (_kind, options, login) => {
  const started: Distribution[] = [];
  const statuses: Array<number | undefined> = [];
  const client = createRegistryClient({
    credentials: { lookup: async () => login },
    onRequest: ({ status }) => void statuses.push(status),
  });
  afterAll(async () => {
    await closeRegistryClient(client);
    await Promise.all(started.map((registry) => registry.close()));
  });

  it('takes an image and gives it back', async () => {
    const registry = await startDistribution(options);
    started.push(registry);
    const repository = { registry: registry.host, repository: 'team/app' };
    const target = { ...repository, tag: '1' };
    expect(await headManifest(client, target)).toBeUndefined();
    expect(await headBlob(client, repository, blob)).toBeUndefined();
    await push(client, repository, content);
    await push(client, repository, config);
    await push(client, repository, Buffer.alloc(0));
    expect(await headBlob(client, repository, blob)).toBe(content.length);

    const digest = digestOf(manifest);
    expect(await putManifest(client, target, { bytes: manifest, mediaType: OCI_MANIFEST, digest })).toBe(digest);
    expect(await headManifest(client, target)).toEqual({ digest, mediaType: OCI_MANIFEST, size: manifest.length });
    expect(await headDigest(client, target, { last: digest })).toBe(digest);
    expect(statuses.at(-1)).toBe(304);
    expect(await headDigest(client, target, { last: blob })).toBe(digest);
    expect(statuses.at(-1)).toBe(200);
    expect(await getManifest(client, { ...repository, digest })).toMatchObject({ bytes: manifest, digest });
    expect(await listTags(client, repository).next()).toMatchObject({ value: ['1'] });

    const { body, offset, size } = await openBlob(client, repository, blob, { offset: 1_000_000 });
    expect({ offset, size }).toEqual({ offset: 1_000_000, size: content.length - 1_000_000 });
    expect((await bytesOf(body)).equals(content.subarray(1_000_000))).toBe(true);

    const other = { ...repository, repository: 'team/other' };
    expect(await startUpload(client, other, { mount: { digest: blob, from: 'team/app' } })).toEqual({
      kind: 'mounted',
    });
    expect(await headBlob(client, other, blob)).toBe(content.length);
    const elsewhere = await startUpload(client, other, { mount: { digest: digestOf(manifest), from: 'team/app' } });
    if (elsewhere.kind === 'mounted') throw new Error('there is no such blob');
    await cancelUpload(client, elsewhere.session);
  });

  it('refuses bytes that do not have the digest they are said to have', async () => {
    const [registry] = started;
    const repository = { registry: registry?.host ?? '', repository: 'team/app' };
    const digest = digestOf(Buffer.from('abd'));
    const put = async () => {
      const opened = await startUpload(client, repository);
      if (opened.kind === 'mounted') throw new Error('nothing was to be mounted');
      const wrong = { body: sourceFrom(Readable.from([Buffer.from('abc')])), size: 3, digest };
      await finishUpload(client, await writeUpload(client, opened.session, wrong), digest);
    };
    // In a PUT with a body, then, as to a registry that cannot take one, in a PATCH.
    await expect(put()).rejects.toMatchObject({ class: 'transient', site: { registryCodes: ['DIGEST_INVALID'] } });
    await expect(put()).rejects.toMatchObject({ class: 'transient', code: 'digest-mismatch' });
    expect(await headBlob(client, repository, digest)).toBeUndefined();
  });

  it('says which blob of a manifest it lacks', async () => {
    const repository = { registry: started[0]?.host ?? '', repository: 'team/empty' };
    const put = putManifest(
      client,
      { ...repository, tag: '1' },
      {
        bytes: manifest,
        mediaType: OCI_MANIFEST,
        digest: digestOf(manifest),
      },
    );
    await expect(put).rejects.toMatchObject({ class: 'transient', code: 'blob-unknown' });
    await expect(listTags(client, repository).next()).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('CNCF distribution with tokens', () => {
  it('is asked for one token a repository and action, and refuses a wrong password for good', async () => {
    const registry = await startDistribution({ auth: 'token' });
    const repository = { registry: registry.host, repository: 'team/app' };
    const client = createRegistryClient({
      credentials: { lookup: async () => ({ username, password, insecure: true }) },
    });
    const thief = createRegistryClient({
      credentials: { lookup: async () => ({ username, password: 'guessed', insecure: true }) },
    });
    try {
      for (let round = 0; round < 5; round += 1) {
        await headBlob(client, repository, blob);
        await headManifest(client, { ...repository, tag: String(round) });
      }
      expect(registry.tokensIssued()).toBe(1);
      await expect(headBlob(thief, repository, blob)).rejects.toMatchObject({
        class: 'permanent',
        code: 'unauthorized',
      });
    } finally {
      await Promise.all([closeRegistryClient(client), closeRegistryClient(thief), registry.close()]);
    }
  });
});
