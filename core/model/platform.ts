import { digestOf } from './digest.ts';
import { TranshipError } from './errors.ts';
import type { Descriptor, ManifestContent, Platform } from './manifest.ts';
import type { Digest } from './reference.ts';
import type { PlatformFilter } from './rule.ts';

export const EVERY_PLATFORM: PlatformFilter = { platforms: [], os: [], arch: [] };

export function takesEveryPlatform(filter: PlatformFilter): boolean {
  return filter.platforms.length + filter.os.length + filter.arch.length === 0;
}

/** Canonical text of a filter, `''` for none: two filters with the same text take the same platforms. */
export function platformKey(filter: PlatformFilter): string {
  return (['platforms', 'os', 'arch'] as const)
    .filter((key) => filter[key].length > 0)
    .map((key) => `${key}=${[...new Set(filter[key])].sort().join(',')}`)
    .join(';');
}

/** What is told of an image of which a filter leaves nothing. */
export function noImageFor(filter: PlatformFilter): string {
  return `no image for ${platformKey(filter)}`;
}

/**
 * Does the filter take this platform? What a platform leaves out is not held against it: image-syncer copies
 * entries without `os` or `architecture` whatever its filters say.
 */
export function matchesPlatform(filter: PlatformFilter, platform: Platform): boolean {
  const { os, architecture, variant } = platform;
  return (
    (filter.os.length === 0 ||
      os === undefined ||
      filter.os.some((want) => partly(want, os, platform['os.version']))) &&
    (filter.arch.length === 0 ||
      architecture === undefined ||
      filter.arch.some((want) => partly(want, architecture, variantOf(architecture, variant)))) &&
    (filter.platforms.length === 0 ||
      (os === undefined && architecture === undefined) ||
      filter.platforms.some((want) => wholly(want, platform)))
  );
}

/** image-syncer's `os[:version]` and `architecture[:variant]`. */
function partly(want: string, main: string, detail: string | undefined): boolean {
  return want === main || (detail !== undefined && want === `${main}:${detail}`);
}

function wholly(want: string, platform: Platform): boolean {
  const [os, architecture = '', variant] = want.split('/');
  if (os !== platform.os || architecture !== platform.architecture) return false;
  return variant === undefined || variant === variantOf(architecture, platform.variant);
}

/** What is meant where no variant is written (containerd's `platforms.Normalize`). */
const impliedVariants: Readonly<Record<string, string>> = { amd64: 'v1', arm: 'v7', arm64: 'v8' };

function variantOf(architecture: string, variant: string | undefined): string | undefined {
  return variant ?? (Object.hasOwn(impliedVariants, architecture) ? impliedVariants[architecture] : undefined);
}

/** BuildKit's mark on a provenance or SBOM entry: the digest of the image that it speaks of. */
const ATTESTED = 'vnd.docker.reference.digest';

/**
 * The entries of an index that a filter keeps: images of the wanted platforms, entries that name no platform, and the
 * attestations of what is kept (docs.docker.com "Attestation storage").
 */
export function keepChildren(children: Descriptor[], filter: PlatformFilter): Descriptor[] {
  const kept = new Set<Digest>();
  for (const child of children) {
    if (child.annotations?.[ATTESTED] === undefined && matchesPlatform(filter, child.platform ?? {})) {
      kept.add(child.digest);
    }
  }
  return children.filter((child) => kept.has(child.annotations?.[ATTESTED] ?? child.digest));
}

/** Whether an entry is BuildKit's provenance or SBOM of another one, and no image of any platform. */
export function isAttestation({ annotations, platform }: Descriptor): boolean {
  const isNoPlatform = platform?.os === 'unknown' && platform.architecture === 'unknown';
  return isNoPlatform && annotations?.[ATTESTED] !== undefined;
}

/**
 * Bytes and digest of an index that lists only `children`; all its other fields stay as they are.
 * @throws TranshipError `bad-manifest`
 */
export function subsetIndex(
  bytes: Uint8Array,
  content: Extract<ManifestContent, { kind: 'index' }>,
  children: Descriptor[],
): { bytes: Buffer; digest: Digest } {
  const keep = new Set([...children, ...content.blobs].map((entry) => entry.digest));
  const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as { manifests: Array<{ digest: Digest }> };
  document.manifests = document.manifests.filter((entry) => keep.has(entry.digest));
  const subset = Buffer.from(formatJson(document));
  return { bytes: subset, digest: digestOf(subset) };
}

function formatJson(document: object): string {
  try {
    return JSON.stringify(document, undefined, 2);
  } catch (cause) {
    // To write JSON takes the stack, to read it does not.
    const what = 'the manifest cannot be used: its JSON is nested too deeply';
    throw new TranshipError(what, { class: 'permanent', code: 'bad-manifest', cause });
  }
}

/** For people: `linux/arm/v7`. What is not known is `unknown`, as Docker writes it. */
export function formatPlatform({ os = 'unknown', architecture = 'unknown', variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined).join('/');
}
