import { atSite, TranshipError } from '../model/errors.ts';
import { type Descriptor, type ManifestContent, type Platform, parseConfigPlatform } from '../model/manifest.ts';
import {
  isAttestation,
  keepChildren,
  matchesPlatform,
  noImageFor,
  subsetIndex,
  takesEveryPlatform,
} from '../model/platform.ts';
import { type Digest, formatRepository, type Repository } from '../model/reference.ts';
import type { PlatformFilter } from '../model/rule.ts';
import { createSlots } from '../model/slots.ts';
import { openBlob } from '../registry/blobs.ts';
import { warnOnce } from '../registry/headers/warning.ts';
import { type FetchedManifest, headManifest } from '../registry/manifests.ts';
import { retry } from '../registry/retry.ts';
import { readBody } from '../registry/wire/body.ts';
import { contentOf } from './content.ts';
import type { CopyContext } from './context.ts';
import { pumpBlob } from './pump.ts';

export type Choice =
  | { kind: 'copy'; root: FetchedManifest; content: ManifestContent }
  /** No platform of the source passes the filter. */
  | { kind: 'empty'; note: string };

/** What is needed to read an image's index and configuration. */
export type Reading = Pick<CopyContext, 'client' | 'signal' | 'retry'>;

/** An image configuration is a few KiB; it is read into memory, so it has a bound. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const ATTESTATIONS_AT_ONCE = 4;

/**
 * What a filter leaves of a manifest: the manifest itself, byte for byte, where nothing is left out; else a new index
 * with the entries that stay. A single image is taken or left by the platform in its configuration.
 */
export async function chooseContent(
  context: Reading,
  source: Repository,
  manifest: FetchedManifest,
  filter: PlatformFilter,
): Promise<Choice> {
  const content = contentOf(source, manifest);
  if (takesEveryPlatform(filter)) return { kind: 'copy', root: manifest, content };
  if (content.kind === 'index') {
    const children = await withoutLostAttestations(context, source, keepChildren(content.children, filter));
    if (children.length === content.children.length) return { kind: 'copy', root: manifest, content };
    if (children.length === 0) return empty(filter);
    const subset = subsetOf(source, manifest, content, children);
    return { kind: 'copy', root: { ...manifest, ...subset }, content: { ...content, children } };
  }
  const platform = content.platform ?? (content.config && (await readPlatform(context, source, content.config)));
  if (platform !== undefined && !matchesPlatform(filter, platform)) return empty(filter);
  return { kind: 'copy', root: manifest, content };
}

function subsetOf(
  { registry, repository }: Repository,
  { bytes }: FetchedManifest,
  content: Parameters<typeof subsetIndex>[1],
  children: Descriptor[],
): ReturnType<typeof subsetIndex> {
  try {
    return subsetIndex(bytes, content, children);
  } catch (error) {
    throw atSite(error, { registry, repository, operation: 'get manifest' });
  }
}

/**
 * Leaves out attestations that the source does not have: clean-up of untagged manifests takes them, and the images are whole
 * without. Only where a filter makes an index anyway: without one the bytes stay as they are.
 */
async function withoutLostAttestations(
  { client, signal }: Reading,
  { registry, repository }: Repository,
  children: Descriptor[],
): Promise<Descriptor[]> {
  const slots = createSlots(ATTESTATIONS_AT_ONCE);
  const isThere = await Promise.all(
    children.map((child) =>
      slots(async () => {
        if (!isAttestation(child)) return true;
        const place = { registry, repository, digest: child.digest };
        return (await headManifest(client, place, { isNamed: true, signal })) !== undefined;
      }),
    ),
  );
  const lost = children.filter((_, position) => !isThere[position]);
  const name = formatRepository({ registry, repository });
  for (const { digest } of lost)
    warnOnce(client, name, `${name} does not have the attestation ${digest}: it is left out`);
  return children.filter((child) => !lost.includes(child));
}

function empty(filter: PlatformFilter): Choice {
  return { kind: 'empty', note: noImageFor(filter) };
}

/** @throws TranshipError with the source's name */
async function readPlatform(context: Reading, source: Repository, config: Descriptor): Promise<Platform> {
  const { client, signal } = context;
  const site = { registry: source.registry, repository: source.repository, operation: 'get blob' };
  const { size = 0 } = config;
  if (size > MAX_CONFIG_BYTES) {
    throw new TranshipError(`the image's configuration has ${size} bytes, more than ${MAX_CONFIG_BYTES}`, {
      ...site,
      class: 'permanent',
      code: 'limit-exceeded',
    });
  }
  const { maxThrottleWaitMs } = client.options;
  const reading = retry(context.retry, { signal, maxThrottleWaitMs }, async () => {
    const bytes = await readBlob(context, source, config.digest, size);
    return parseConfigPlatform(bytes);
  });
  return reading.catch((error: unknown) => {
    throw atSite(error, site);
  });
}

async function readBlob(
  { client, signal }: Reading,
  source: Repository,
  digest: Digest,
  size: number,
): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  const [failure] = await pumpBlob({
    digest,
    size,
    signal,
    open: (offset, stop) => openBlob(client, source, digest, { offset, signal: stop }),
    sinks: [
      async (body) => {
        bytes = await readBody(body, size);
      },
    ],
  });
  if (failure !== undefined) throw failure;
  return bytes;
}
