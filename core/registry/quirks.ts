import { LRUCache } from 'lru-cache';
import { parseEcrHost } from './ecr-host.ts';
import type { RegistryClient } from './state.ts';
import { isGoogle } from './vendors/vendor.ts';

/** What a registry has shown that it cannot do. Learned from its responses, and known as long as the client lives. */
export interface Quirks {
  /** PATCH was refused: a blob goes into the body of the PUT. */
  needsMonolithicPut: boolean;
  /** PUT with a body was refused: all blobs go into a PATCH. */
  refusesPutWithBody: boolean;
  /** A PATCH was redirected: where it leads is found out before a body is streamed. */
  redirectsPatch: boolean;
  /** Longest chunk of a blob that comes in several PATCHes; 0 where it must come in one, undefined where any is taken. */
  mostChunkBytes: number | undefined;
  /**
   * Repositories that a mount was refused from. Asked again after a day, since a right may be granted (ECR: a setting).
   */
  readonly refusedMounts: LRUCache<string, true>;
  /**
   * Repositories whose tags are asked for one by one, since the vendor's list of digests was refused, or was wrong; `*`
   * for all of them. Asked again after a day, or the time that was set.
   */
  readonly withoutBulk: LRUCache<string, true>;
  /**
   * Whether it has the API that lists referrers. `until`: epoch ms, when a registry without it is asked again.
   */
  referrers: { isServed: boolean; until: number } | undefined;
  /** The first question about it, while it is under way: others wait for the answer. */
  askingForReferrers: Promise<unknown> | undefined;
  /** Whether it keeps the referrers of a manifest by itself: it named the subject when one was put (`OCI-Subject`). */
  keepsReferrers: boolean | undefined;
  /** Whether the ETag of a manifest was its digest, so that it can be asked whether a tag still has one. */
  hasDigestEtags: boolean;
}

const MAX_REFUSALS = 1000;
const REFUSED_FOR_MS = 24 * 3_600_000;

/** The quirks of a registry, to be read and written. */
export function quirksOf(client: RegistryClient, registry: string): Quirks {
  let quirks = client.quirks.get(registry);
  if (quirks === undefined) {
    const refusals = () => new LRUCache<string, true>({ max: MAX_REFUSALS, ttl: REFUSED_FOR_MS });
    quirks = {
      needsMonolithicPut: false,
      refusesPutWithBody: false,
      redirectsPatch: false,
      mostChunkBytes: knownChunkLimit(registry),
      refusedMounts: refusals(),
      withoutBulk: refusals(),
      referrers: undefined,
      askingForReferrers: undefined,
      keepsReferrers: undefined,
      hasDigestEtags: false,
    };
    client.quirks.set(registry, quirks);
  }
  return quirks;
}

/** What GitHub's registry takes in a PATCH with a range: more gets 416 (oras-project/rust-oci-client#35). */
export const SMALL_CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * ECR drops what comes after the first PATCH and does not say so (aws/containers-roadmap#2831); Google's registries
 * document that they take no chunks (dotnet/sdk-container-builds#287).
 */
function knownChunkLimit(registry: string): number | undefined {
  if (registry === 'ghcr.io') return SMALL_CHUNK_BYTES;
  const takesNone = parseEcrHost(registry) !== undefined || registry === 'public.ecr.aws' || isGoogle(registry);
  return takesNone ? 0 : undefined;
}
