import type { IncomingHttpHeaders } from 'node:http';
import { algorithmOf } from '../model/digest.ts';
import { rephrase, type TranshipError } from '../model/errors.ts';
import { type Descriptor, parseLayers, staysElsewhere } from '../model/manifest.ts';
import { isIndexType, isSchema1Type, MANIFEST_TYPES } from '../model/media-types.ts';
import { type Digest, formatTarget, isDigest, type Target } from '../model/reference.ts';
import { type Access, type Call, callError, callOnce, patienceMs, type QuestionOptions, retryCall } from './call.ts';
import {
  errorInside,
  errorOf,
  isMarkup,
  isMissing,
  parseErrors,
  type RegistryErrors,
  refusal,
  webPage,
} from './http-error.ts';
import { hasDigest, manifestDigest } from './manifest-digest.ts';
import { specificType, typeOfManifest } from './manifest-type.ts';
import { fromMirrors } from './mirrors.ts';
import { quirksOf } from './quirks.ts';
import { beginPull } from './quota.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import { listTags } from './tags.ts';
import { discard, readStart } from './wire/body.ts';
import { type RegistryResponse, readResponse } from './wire/exchange.ts';

export interface ManifestHead {
  digest: Digest;
  mediaType: string;
  /** Bytes; undefined where the registry does not say. */
  size: number | undefined;
}

export interface FetchedManifest {
  /** As the registry stores it, to the byte. */
  bytes: Buffer;
  mediaType: string;
  digest: Digest;
}

/** distribution handlers/manifests.go and containers/image have the same limit. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** The wildcard is for manifests of types that are not on the list (containerd does the same). */
const acceptAny = { accept: [...MANIFEST_TYPES, '*/*'].join(', ') };
/** Statuses of a HEAD that a GET may explain, or that only mean that HEAD is refused. */
const askByGet = [400, 403, 405, 406, 415, 501];

/**
 * Digest, media type and size of a manifest, by one HEAD; by a GET where the response to HEAD lacks something.
 * @param options.isNamed a tag list or a rule names it, so a 404 is surprising: it is believed only when a GET says so
 *   too, since some registries answer every HEAD of a manifest with 404 (nicholas-fedor/watchtower#667)
 * @returns undefined only where the registry says that it does not have it
 * @throws TranshipError for any other refusal
 */
export function headManifest(
  client: RegistryClient,
  target: Target,
  { access = 'pull', isNamed = false, signal }: QuestionOptions & { isNamed?: boolean } = {},
): Promise<ManifestHead | undefined> {
  const call = manifestCall(client, target, 'head manifest', access, signal);
  return retryCall(call, () => headOnce(call, target, isNamed));
}

/**
 * The digest that a tag has now, by the same question.
 * @param options.last the digest that it is known to have had. Where the registry's ETag is the digest, it is asked
 *   whether that still is so (RFC 9110 section 13.1.2): CNCF distribution answers 304 without reading the manifest, in
 *   half the time
 * @returns undefined, and throws, as {@link headManifest}
 */
export function headDigest(
  client: RegistryClient,
  target: Target,
  { last, signal }: { last?: Digest; signal?: AbortSignal } = {},
): Promise<Digest | undefined> {
  const call = manifestCall(client, target, 'head manifest', 'pull', signal);
  return retryCall(call, async () => {
    const known = quirksOf(client, target.registry).hasDigestEtags ? last : undefined;
    const headers = known === undefined ? acceptAny : { ...acceptAny, 'if-none-match': `"${known}"` };
    const response = await send(call, { method: 'HEAD', url: pathOf(target), headers });
    if (known === undefined || response.status !== 304) return (await readHead(call, target, response, true))?.digest;
    await discard(response.body);
    return digestHeader(response.headers) ?? known;
  });
}

async function headOnce(call: Call, target: Target, isNamed = false): Promise<ManifestHead | undefined> {
  const response = await send(call, { method: 'HEAD', url: pathOf(target), headers: acceptAny });
  return readHead(call, target, response, isNamed);
}

/** What a response to HEAD says of a manifest, and a GET where it lacks something. */
async function readHead(
  call: Call,
  target: Target,
  response: RegistryResponse,
  isNamed: boolean,
): Promise<ManifestHead | undefined> {
  const { status, headers } = response;
  if (status !== 200 && status !== 404 && !askByGet.includes(status)) throw await errorOf(call, response);
  await discard(response.body);
  if (status === 404 && !isNamed) return undefined;
  const digest = digestHeader(headers);
  const mediaType = specificType(headers['content-type']);
  if (status === 200 && digest !== undefined && mediaType !== undefined) {
    noteEtag(call, headers, digest);
    const isOther = target.digest !== undefined && algorithmOf(digest) === algorithmOf(target.digest);
    if (!isOther || digest === target.digest) {
      return { digest: target.digest ?? digest, mediaType, size: sizeHeader(headers) };
    }
  }
  const manifest = await fetchManifest(call, target);
  return manifest && { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.length };
}

/**
 * A manifest, verified by its digest: the one it was asked by, or for a tag the one that the registry states.
 * @throws TranshipError `not-found`; `digest-mismatch`; `limit-exceeded`; `bad-manifest` for one whose type is not
 *   clear
 */
export async function getManifest(
  client: RegistryClient,
  target: Target,
  { signal }: { signal?: AbortSignal } = {},
): Promise<FetchedManifest> {
  const { digest } = target;
  const mirrored =
    digest === undefined
      ? undefined
      : await fromMirrors(client, target, (mirror) => {
          const call = manifestCall(client, { ...mirror, digest }, 'get manifest', 'pull', signal);
          return callOnce(call, () => fetchManifest(call, { ...mirror, digest }));
        });
  if (mirrored !== undefined) return mirrored;
  const call = manifestCall(client, target, 'get manifest', 'pull', signal);
  const manifest = await retryCall(call, () => fetchManifest(call, target));
  if (manifest !== undefined) return manifest;
  throw callError(call, 'the registry does not have it', { class: 'permanent', code: 'not-found', status: 404 });
}

/** Undefined where the registry does not have it. */
async function fetchManifest(call: Call, target: Target): Promise<FetchedManifest | undefined> {
  const response = await pull(call, target);
  if (response.status !== 200) {
    const errors = parseErrors(await readStart(response.body, 64 * 1024), response.secrets);
    if (!response.isForeign && isMissing(response.status, errors.codes, errors.text)) return undefined;
    throw manifestRefusal(call, response, errors);
  }
  const bytes = await readResponse(call, response, MAX_MANIFEST_BYTES);
  if (bytes.length === 0) {
    throw callError(call, 'the registry sent nothing in its place', { class: 'transient', code: 'protocol' });
  }
  const error = errorInside(call, response, bytes);
  if (error !== undefined) throw error;
  const digest = await verifiedDigest(call, target, bytes, digestHeader(response.headers));
  if (isMarkup(bytes.toString('utf8', 0, 100))) throw webPage(call);
  const type = typeOfManifest(bytes, response.headers['content-type']);
  if ('fault' in type) throw callError(call, type.fault, { class: 'permanent', code: 'bad-manifest' });
  return { bytes, mediaType: type.mediaType, digest };
}

/** As {@link refusal}. Where a redirect leads to nothing, the manifest is missing, and no blob. */
function manifestRefusal(call: Call, response: RegistryResponse, errors: RegistryErrors): TranshipError {
  const error = refusal(call, response, errors);
  return response.isForeign && error.code === 'blob-unknown' ? rephrase(error, { code: 'not-found' }) : error;
}

/** Asks for a manifest where the registry's quota, and the caller's, have a pull left. */
async function pull(call: Call, target: Target): Promise<RegistryResponse> {
  const request = { url: pathOf(target), headers: acceptAny };
  await beginPull(call, async () => discard((await send(call, { ...request, method: 'HEAD' })).body));
  return send(call, { ...request, method: 'GET' });
}

/**
 * The digest of a manifest's bytes: the one it was asked by, which they must have, or for a tag the one that the
 * registry states. Registries are known to state a wrong one (GoogleContainerTools/kaniko#298), and bytes to be damaged
 * on the way. To tell one from the other, the registry is asked for what it has under the digest of the bytes.
 */
async function verifiedDigest(call: Call, target: Target, bytes: Buffer, stated: Digest | undefined): Promise<Digest> {
  const wanted = target.digest ?? stated ?? manifestDigest(bytes, 'sha256');
  if (hasDigest(bytes, wanted)) return wanted;
  const actual = manifestDigest(bytes, algorithmOf(wanted));
  if (target.digest === undefined && (await hasManifest(call, target, actual))) return actual;
  throw wrongDigest(call, actual, wanted);
}

async function hasManifest(call: Call, { registry, repository }: Target, digest: Digest): Promise<boolean> {
  const response = await pull(call, { registry, repository, digest });
  if (response.status !== 200) {
    await discard(response.body);
    return false;
  }
  return hasDigest(await readResponse(call, response, MAX_MANIFEST_BYTES), digest);
}

/**
 * Whether a registry says of a tag that it is not there, by HEAD and by GET. A repository that is not there is an
 * error: it may be hidden from a login that has lost its right. Of a redirect's target, which is no registry, a 404 is
 * believed only where the registry's list lacks the tag as well.
 * @throws TranshipError for any other answer than the manifest or "unknown"
 */
export async function isTagGone(
  client: RegistryClient,
  target: Target,
  { signal }: { signal?: AbortSignal } = {},
): Promise<boolean> {
  const call = manifestCall(client, target, 'get manifest', 'pull', signal);
  if ((await retryCall(call, () => headOnce(call, target))) !== undefined) return false;
  const answer = await retryCall(call, async () => {
    const response = await send(call, { method: 'GET', url: pathOf(target), headers: acceptAny });
    if (response.status === 200) {
      await readResponse(call, response, MAX_MANIFEST_BYTES);
      return 'there';
    }
    const errors = parseErrors(await readStart(response.body, 64 * 1024), response.secrets);
    const isUnknown = isMissing(response.status, errors.codes, errors.text);
    if (!isUnknown || errors.codes.includes('NAME_UNKNOWN')) throw manifestRefusal(call, response, errors);
    return response.isForeign ? 'nowhere' : 'gone';
  });
  const { tag } = target;
  if (answer !== 'nowhere' || tag === undefined) return answer === 'gone';
  for await (const page of listTags(client, target, { signal })) if (page.includes(tag)) return false;
  return true;
}

/**
 * Puts a manifest and makes sure that the registry has it byte for byte. An immutable tag that has this manifest
 * already is a success.
 *
 * @returns the digest that the registry confirmed, by header or else when it was asked for the manifest
 * @throws TranshipError `tag-immutable`; `digest-mismatch`; `blob-unknown`, transient, where the registry lacks a blob
 */
export async function putManifest(
  client: RegistryClient,
  target: Target,
  manifest: FetchedManifest,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Digest> {
  const call = manifestCall(client, target, 'put manifest', 'push', signal);
  const { bytes, mediaType, digest } = manifest;
  const wanted = target.digest ?? digest;
  if (!hasDigest(bytes, wanted)) {
    throw callError(call, `the bytes to put do not have the digest ${wanted}`, {
      class: 'permanent',
      code: 'digest-mismatch',
    });
  }
  return retryCall(call, async () => {
    const response = await send(call, {
      method: 'PUT',
      url: pathOf(target),
      headers: { 'content-type': mediaType },
      body: [bytes],
      tokenLifetimeMs: 30_000,
      responseTimeoutMs: patienceMs(call),
    });
    if (![200, 201, 202, 204].includes(response.status)) return afterRefusal(call, target, manifest, response);
    await discard(response.body);
    if (bytes.includes('"subject"')) noteSubject(call, response.headers);
    const confirmed = digestHeader(response.headers);
    if (confirmed === undefined) return confirmByHead(call, target, bytes);
    if (confirmed === wanted || hasDigest(bytes, confirmed)) return confirmed;
    // Registries are known to state a wrong one: what counts is what they have.
    const found = await fetchManifest(call, target).catch(() => undefined);
    if (found !== undefined && hasDigest(bytes, found.digest)) return found.digest;
    throw wrongDigest(call, confirmed, digest);
  });
}

async function confirmByHead(call: Call, target: Target, bytes: Buffer): Promise<Digest> {
  const head = await headOnce(call, target, true);
  if (head === undefined) {
    throw callError(call, 'the registry accepted it and does not have it', { class: 'transient', code: 'protocol' });
  }
  if (!hasDigest(bytes, head.digest))
    throw wrongDigest(call, head.digest, manifestDigest(bytes, algorithmOf(head.digest)));
  return head.digest;
}

/** How registries word the refusal to move a tag: ECR, Harbor, Quay, GAR, ACR (locked), Artifactory, GitLab, Nexus. */
const immutablePattern =
  /immutab|ImageTagAlreadyExists|tag\b.{0,80}\balready exist|is locked|operation is disallowed|overwrit|overrid|protected|not allow updating/i;

async function afterRefusal(
  call: Call,
  target: Target,
  manifest: FetchedManifest,
  response: RegistryResponse,
): Promise<Digest> {
  const { bytes } = manifest;
  const error = withMend(await errorOf(call, response), target, manifest);
  const mayBeImmutable = target.tag !== undefined && [400, 403, 405, 409, 412, 422].includes(response.status);
  if (!mayBeImmutable || error.code === 'blob-unknown') throw error;
  const head = await headOnce(call, target).catch(() => undefined);
  if (head !== undefined && hasDigest(bytes, head.digest)) return head.digest;
  if (head === undefined || !immutablePattern.test(error.message)) throw error;
  throw rephrase(error, {
    class: 'permanent',
    code: 'tag-immutable',
    mend: `the tag is at ${head.digest} and may not be moved: copy to another tag, or allow changes at the destination`,
  });
}

/** A refusal of the manifest itself, with what about it the registry may not take. */
function withMend(
  error: TranshipError,
  { registry, repository }: Target,
  { bytes, mediaType }: FetchedManifest,
): TranshipError {
  const { status, registryCodes = [] } = error.site;
  const isAboutIt = registryCodes.includes('MANIFEST_INVALID') || registryCodes.includes('UNSUPPORTED');
  if (error.mend !== undefined) return error;
  // CNCF distribution answers 500 with "unknown error" for the urls, and denies the layers themselves.
  if (registryCodes.includes('MANIFEST_BLOB_UNKNOWN') && deniesForeignLayer(error, bytes))
    return rephrase(error, { class: 'permanent', code: 'refused', mend: urlsMend(registry) });
  if (error.code === 'not-found')
    return rephrase(error, { mend: `see whether ${registry} has the repository ${repository}` });
  if (!(isAboutIt || status === 415)) return error;
  const mend = () => {
    if (isSchema1Type(mediaType)) return 'it is of an old kind (schema 1): build it again with a tool of today';
    if (foreignLayers(bytes).length > 0) return urlsMend(registry);
    // project-zot/zot#2234
    const zot = mediaType.startsWith('application/vnd.docker.') ? ' (zot: with http.compat docker2s2)' : '';
    const other = isIndexType(mediaType) ? ', or copy one platform of it' : '';
    return `see whether ${registry} takes ${mediaType}: a newer version may${zot}${other}`;
  };
  return rephrase(error, { mend: mend() });
}

function urlsMend(registry: string): string {
  return `it has layers that stay where their urls lead (Windows): allow those urls at ${registry} (CNCF distribution: validation.manifests.urls.allow)`;
}

/** Whether a refusal names a layer that no copy brings. */
function deniesForeignLayer({ message }: TranshipError, bytes: Buffer): boolean {
  return foreignLayers(bytes).some(({ digest }) => message.includes(digest));
}

/** The layers of a manifest that stay where their urls lead. */
function foreignLayers(bytes: Buffer): Descriptor[] {
  if (!bytes.includes('"urls"')) return [];
  try {
    return parseLayers(bytes).filter(staysElsewhere);
  } catch {
    return [];
  }
}

function manifestCall(
  client: RegistryClient,
  target: Target,
  operation: string,
  access: Access,
  signal: AbortSignal | undefined,
): Call {
  const { registry, repository } = target;
  return { client, repository: { registry, repository }, operation, subject: formatTarget(target), access, signal };
}

function pathOf(target: Target): string {
  return `/v2/${target.repository}/manifests/${target.tag ?? target.digest}`;
}

function digestHeader(headers: IncomingHttpHeaders): Digest | undefined {
  const value = headers['docker-content-digest'];
  return typeof value === 'string' && isDigest(value) ? value : undefined;
}

/** Whether the registry saw that a manifest refers to another one (distribution spec, "Pushing Manifests with Subject"). */
function noteSubject({ client, repository: { registry } }: Call, headers: IncomingHttpHeaders): void {
  quirksOf(client, registry).keepsReferrers = headers['oci-subject'] !== undefined;
}

/** Whether the ETag of a manifest is its digest. */
function noteEtag({ client, repository: { registry } }: Call, { etag }: IncomingHttpHeaders, digest: Digest): void {
  quirksOf(client, registry).hasDigestEtags = etag === `"${digest}"`;
}

function sizeHeader(headers: IncomingHttpHeaders): number | undefined {
  const length = headers['content-length'] ?? '';
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

function wrongDigest(call: Call, actual: Digest, wanted: Digest): TranshipError {
  return callError(call, `the digest is ${actual} where ${wanted} was expected`, {
    class: 'transient',
    code: 'digest-mismatch',
  });
}
