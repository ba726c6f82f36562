import { randomBytes } from 'node:crypto';
import { ECRClient } from '@aws-sdk/client-ecr';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureBlob } from '../../core/copy/blobs.ts';
import { type Arrival, createArrival, createCopyContext } from '../../core/copy/context.ts';
import { startResumableHash } from '../../core/copy/resumable-hash.ts';
import { digestOf } from '../../core/model/digest.ts';
import { TranshipError } from '../../core/model/errors.ts';
import { createSlots } from '../../core/model/slots.ts';
import { createEcrChunks } from '../../functions/aws/ecr-uploads.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { type EcrLayers, startEcrLayers } from '../support/ecr-layers.ts';
import { type TestClient, testClient } from '../support/scripted-registry.ts';
import { type ProgressInMemory, progressInMemory } from '../support/upload-progress.ts';

const MIB = 1024 * 1024;
const content = randomBytes(17 * MIB);
const digest = digestOf(content);
const blob = { digest, size: content.length, mediaType: 'application/octet-stream' };
const ecrRepository = { registry: '123456789012.dkr.ecr.eu-west-1.amazonaws.com', repository: 'app' };
const noPlaces = { findBlobs: async () => [], writeBlobs: async () => {}, forgetBlobs: async () => {} };

let ecr: EcrLayers;
let source: EmbeddedRegistry;
let target: EmbeddedRegistry;
let memory: ProgressInMemory;
let client: TestClient;
let api: ECRClient;

beforeEach(async () => {
  [ecr, source, target] = await Promise.all([startEcrLayers(), startRegistry(), startRegistry()]);
  source.content.addBlob('app', content);
  memory = progressInMemory();
  client = testClient();
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  api = new ECRClient({ endpoint: ecr.endpoint, region: 'eu-west-1', credentials });
});

afterEach(async () => {
  api.destroy();
  await client[Symbol.asyncDispose]();
  await Promise.all([ecr, source, target].map((one) => one.close()));
});

/** Has one worker bring the blob; its time is over after so many parts. The registry in memory stands for ECR's other API. */
async function work(chunks = Number.POSITIVE_INFINITY): Promise<Arrival> {
  const stop = new AbortController();
  let saved = 0;
  memory.onSave = () => {
    saved += 1;
    if (saved === chunks) stop.abort(new TranshipError('time is over', { class: 'transient', code: 'timeout' }));
  };
  const transport = createEcrChunks({ clientFor: () => api, usesRole: async () => true });
  const arrival = createArrival({ registry: target.host, repository: 'app', tag: '1' });
  const context = {
    ...createCopyContext({ client, ledger: noPlaces, blobsAtOnce: 4, emit: () => {} }),
    retry: { attempts: 2, baseMs: 1, capMs: 2 },
    signal: stop.signal,
    resumable: {
      fromBytes: MIB,
      chunkBytes: MIB,
      chunkSlots: createSlots(1),
      ledger: memory,
      owner: 'worker',
      chunkSignal: new AbortController().signal,
      now: Date.now,
      startHash: startResumableHash,
      transport: {
        takes: async () => true,
        begin: (_: unknown, ...rest: [number, { digest: string }]) => transport.begin(ecrRepository, ...rest),
        resume: (_: unknown, ...rest: [number, { location: string; offset: number }, { digest: string }]) =>
          transport.resume(ecrRepository, ...rest),
      },
    },
  };
  await ensureBlob(context, { registry: source.host, repository: 'app' }, blob, [arrival]);
  return arrival;
}

const isThere = () => ecr.layers.get(`app@${digest}`)?.equals(content) ?? false;

describe('a large blob for ECR', () => {
  it('goes in parts of its API, as long as it wants them', async () => {
    expect((await work()).error).toBeUndefined();
    expect(isThere()).toBe(true);
    expect(ecr.parts).toEqual([
      `0-${5 * MIB - 1}`,
      `${5 * MIB}-${10 * MIB - 1}`,
      `${10 * MIB}-${15 * MIB - 1}`,
      `${15 * MIB}-${17 * MIB - 1}`,
    ]);
    expect(target.count('write upload')).toBe(0);
    expect(memory.uploads.size).toBe(0);
  });

  it('is continued by the next worker', async () => {
    expect((await work(1)).error?.code).toBe('timeout');
    expect((await work()).error).toBeUndefined();
    expect(isThere()).toBe(true);
    expect(new Set(ecr.parts).size).toBe(ecr.parts.length);
  });

  it('is continued where one was killed before it noted its last part', async () => {
    await work(1);
    const [before] = memory.uploads.values();
    await work(1);
    // As if the second had noted nothing.
    await memory.saveUpload(before!);
    expect((await work()).error).toBeUndefined();
    expect(isThere()).toBe(true);
  });

  it('is begun anew where ECR has lost the upload', async () => {
    await work(1);
    ecr.uploads.clear();
    const arrival = await work();
    expect(arrival.error).toBeUndefined();
    expect(isThere()).toBe(true);
    expect(ecr.requests.filter((one) => one === 'InitiateLayerUpload')).toHaveLength(2);
  });

  it('is there where another has just brought it', async () => {
    ecr.layers.set(`app@${digest}`, content);
    expect((await work()).error).toBeUndefined();
  });

  it('is sent as before where the role is not who asks', async () => {
    const transport = createEcrChunks({ clientFor: () => api, usesRole: async () => false });
    expect(await transport.takes(ecrRepository)).toBe(false);
    const other = createEcrChunks({ clientFor: () => api, usesRole: async () => true });
    expect(await other.takes({ ...ecrRepository, registry: 'registry.example' })).toBe(false);
    expect(await other.takes(ecrRepository)).toBe(true);
  });
});
