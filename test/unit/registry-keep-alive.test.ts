import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../core/model/reference.ts';
import { headManifest, putManifest } from '../../core/registry/manifests.ts';
import { quirksOf } from '../../core/registry/quirks.ts';
import { finishUpload, startUpload, writeUpload } from '../../core/registry/uploads.ts';
import { sourceFrom } from '../support/byte-sources.ts';
import { ociError, repositoryAt, type Script, scriptedRegistry, testClient } from '../support/scripted-registry.ts';

/** Tried once: what comes through was not counted as a failure. */
const once = { retry: { attempts: 1, baseMs: 1, capMs: 1 } };

/** A registry that answers `requests` requests on a connection and closes it when the next one comes. */
function closing(requests: number, script: Script): Script {
  const served = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = response;
    if (socket === null) return 'hang up';
    const before = served.get(socket) ?? 0;
    served.set(socket, before + 1);
    return before >= requests ? 'hang up' : script(request, response);
  };
}

describe('a connection that the registry closes between two requests', () => {
  const content = Buffer.from('{"schemaVersion":2}');
  const digest: Digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;

  it('is replaced at once, for whatever can be sent again', async () => {
    await using registry = await scriptedRegistry(
      closing(1, ({ method, url }) => {
        if (url === '/v2/') return undefined;
        if (method === 'PUT') return { status: 201, headers: { 'docker-content-digest': digest } };
        return method === 'POST' ? { status: 202, headers: { location: '/u/1' } } : { status: 404 };
      }),
    );
    await using client = testClient(once);
    const target = { ...repositoryAt(registry), tag: '1' };
    for (let round = 0; round < 3; round += 1) {
      expect(await headManifest(client, target)).toBeUndefined();
      expect(await startUpload(client, repositoryAt(registry))).toMatchObject({ kind: 'session' });
      await putManifest(client, target, {
        bytes: content,
        digest,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
      });
    }
  });

  it('is replaced where all connections of the pool are old', async () => {
    await using registry = await scriptedRegistry(
      closing(2, ({ url }) => (url === '/v2/' ? undefined : { status: 404 })),
    );
    await using client = testClient({ ...once, connectionsPerRegistry: 8 });
    const target = { ...repositoryAt(registry), tag: '1' };
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(Array.from({ length: 8 }, () => headManifest(client, target)));
    }
    // One after the other, each finds a stale connection or two.
    for (let round = 0; round < 16; round += 1) expect(await headManifest(client, target)).toBeUndefined();
  });

  it('is not replaced for ever: a registry that always hangs up is one failure', async () => {
    await using registry = await scriptedRegistry(({ url }) => (url === '/v2/' ? undefined : 'hang up'));
    await using client = testClient(once);
    await expect(headManifest(client, { ...repositoryAt(registry), tag: '1' })).rejects.toMatchObject({
      class: 'transient',
      code: 'network',
    });
    // On a connection of its own, on that of the ping, and on a new one.
    expect(registry.requests.length).toBeLessThanOrEqual(3);
  });

  it('costs no byte of an upload: what was sent is completed', async () => {
    const received: Buffer[] = [];
    let isStored = false;
    await using registry = await scriptedRegistry(({ method, url, body }, response) => {
      if (url === '/v2/') return undefined;
      if (method === 'HEAD') return { status: isStored ? 200 : 404, headers: { 'content-length': content.length } };
      if (method === 'PATCH') received.push(body);
      if (method === 'PUT') {
        // The registry stores the blob and its response is lost; by the second PUT the session is gone.
        if (isStored) return ociError(404, 'BLOB_UPLOAD_UNKNOWN');
        isStored = true;
        response.socket?.destroy();
        return 'answered';
      }
      return { status: 202, headers: { location: '/u/1' } };
    });
    await using client = testClient(once);
    quirksOf(client, registry.host).refusesPutWithBody = true;
    const started = await startUpload(client, repositoryAt(registry));
    if (started.kind !== 'session') throw new Error('mounted');
    const body = sourceFrom(Readable.from([content.subarray(0, 5), content.subarray(5)]));
    const session = await writeUpload(client, started.session, { body, size: content.length, digest });
    await finishUpload(client, session, digest);
    expect(received).toEqual([content]);
  });

  it('ends a streamed body, which cannot be sent again: the blob is begun anew, and arrives whole', async () => {
    const received: Buffer[] = [];
    await using registry = await scriptedRegistry(
      closing(1, ({ method, url, body }) => {
        if (url === '/v2/') return undefined;
        if (body.length > 0) received.push(body);
        if (method === 'PUT') return { status: 201, headers: { 'docker-content-digest': digest } };
        return { status: 202, headers: { location: '/u/1' } };
      }),
    );
    await using client = testClient(once);
    const upload = async () => {
      const started = await startUpload(client, repositoryAt(registry));
      if (started.kind !== 'session') throw new Error('mounted');
      const body = sourceFrom(Readable.from([content.subarray(0, 5), content.subarray(5)]));
      const session = await writeUpload(client, started.session, { body, size: content.length, digest });
      await finishUpload(client, session, digest);
    };
    await upload();
    // The second blob goes out on the connection of the first's.
    await expect(upload()).rejects.toMatchObject({ class: 'transient', code: 'network' });
    await upload();
    expect(received).toEqual([content, content]);
  });
});
