import { algorithmOf } from '../model/digest.ts';
import { rephrase, type TranshipError, toTranshipError } from '../model/errors.ts';
import { type Digest, formatRepository, isDigest, type Repository } from '../model/reference.ts';
import { headBlobOnce } from './blobs.ts';
import { type Call, callError, callOnce, patienceMs } from './call.ts';
import { parseLength } from './headers/length.ts';
import { errorOf } from './http-error.ts';
import { type Quirks, quirksOf } from './quirks.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import { discard } from './wire/body.ts';
import type { ByteSource } from './wire/byte-source.ts';
import { type RegistryResponse, urlOf } from './wire/exchange.ts';
import { isRedirect } from './wire/follow.ts';
import type { WholeBody } from './wire/http1/outgoing-body.ts';
import { isPlainUrl } from './wire/plain-url.ts';
import { resolveLocation } from './wire/redirect.ts';

/** An upload that a registry has begun. Plain data; a new one after every step. */
export interface UploadSession {
  repository: Repository;
  /** Absolute URL, opaque: its query is the registry's own. */
  location: string;
  /** The blob is complete already: it went with its digest in one PUT. */
  isFinished: boolean;
  /** The registry's least length of a chunk that is not the last (`OCI-Chunk-Min-Length`), where it has one. */
  leastChunkBytes?: number;
}

export type StartedUpload = { kind: 'mounted' } | { kind: 'session'; session: UploadSession };

export interface StartUploadOptions {
  /** The blob, and a repository of the same registry that has it. */
  mount?: { digest: Digest; from: string };
  signal?: AbortSignal;
}

/** A token must outlive the request it is sent with. */
export const TOKEN_LIFETIME_MS = 30_000;

/**
 * A blob up to this size goes in the PUT that completes it, which saves a PATCH. Beyond it a request is nothing beside the
 * bytes, and not every registry takes more (ACR: 20 MB).
 */
const MOST_PUT_BYTES = 16 * 1024 * 1024;

/**
 * Begins the upload of a blob, or has it mounted from another repository, where it then is. A registry that refuses the
 * mount is asked for a plain upload. Not retried here: the caller retries the whole blob.
 *
 * @throws TranshipError `not-found`, permanent, where the repository must be created first
 * @see distribution spec, "Pushing a blob in chunks", "Mounting a blob from another repository"
 */
export async function startUpload(
  client: RegistryClient,
  repository: Repository,
  { mount, signal }: StartUploadOptions = {},
): Promise<StartedUpload> {
  const call = uploadCall(client, repository, 'start upload', signal);
  const { refusedMounts } = quirksOf(client, repository.registry);
  return callOnce(call, async () => {
    if (mount !== undefined && mount.from !== repository.repository && !refusedMounts.has(mount.from)) {
      const mounted = await tryMount({ ...call, operation: 'mount blob' }, mount);
      if (mounted !== undefined) return mounted;
    }
    const response = await send(call, { ...startOf(repository), method: 'POST' });
    // 202 by the specification; containerd takes the others too, where there is a Location.
    if ([200, 201, 202, 204].includes(response.status))
      return { kind: 'session', session: await sessionAfter(call, response) };
    throw await startRefusal(call, response);
  });
}

/**
 * Undefined where the registry does not mount, for whatever reason of its own, or of its token server, which may know no
 * token for two repositories. The blob can still be uploaded; only who wants to be left alone, or gives no answer, is not
 * asked once more.
 */
async function tryMount(call: Call, mount: { digest: Digest; from: string }): Promise<StartedUpload | undefined> {
  try {
    return await requestMount(call, mount);
  } catch (thrown) {
    const error = toTranshipError(thrown);
    const { status } = error.site;
    const isSilence = ['network', 'stalled'].includes(error.code) || (error.code === 'timeout' && status === undefined);
    if (isSilence || error.code === 'aborted') throw error;
    if (error.class === 'throttled' || error.class === 'configuration') throw error;
    // A 404 is about this blob, and some failures pass; anything else is about the repository it was to come from.
    const passes = status === undefined ? error.class === 'transient' : status >= 500 && status !== 501;
    if (!passes && ![404, 408, 425].includes(status ?? 0)) {
      quirksOf(call.client, call.repository.registry).refusedMounts.set(mount.from, true);
    }
    return undefined;
  }
}

async function requestMount(call: Call, { digest, from }: { digest: Digest; from: string }): Promise<StartedUpload> {
  const { url } = startOf(call.repository);
  const query = new URLSearchParams({ mount: digest, from });
  const response = await send(call, { method: 'POST', url: `${url}?${query}`, mountFrom: from });
  if (response.status === 202) return { kind: 'session', session: await sessionAfter(call, response) };
  if (response.status !== 201) throw await errorOf(call, response);
  await discard(response.body);
  const fault = digestFault(call, response, digest);
  if (fault !== undefined) throw fault;
  return { kind: 'mounted' };
}

function startOf({ repository }: Repository): { url: string } {
  return { url: `/v2/${repository}/blobs/uploads/` };
}

async function startRefusal(call: Call, response: RegistryResponse): Promise<TranshipError> {
  const error = await errorOf(call, response);
  const { registry, repository } = call.repository;
  if (error.mend !== undefined) return error;
  if (error.code === 'not-found')
    return rephrase(error, { mend: `create the repository ${repository} at ${registry} first` });
  if (error.code === 'unsupported')
    return rephrase(error, {
      mend: `${registry} takes no pushes here: is it a cache of another registry, or read-only?`,
    });
  return error;
}

/**
 * Sends the whole blob. A large one goes in one PATCH with its length and no Content-Range, which almost every registry
 * takes, others in the PUT that completes the upload; to a registry that refuses one of them in the other. Not retried
 * here.
 *
 * @param options.body read to its end, or cancelled
 * @param options.size bytes, exactly
 * @throws TranshipError transient where a new upload may succeed, e.g. because it will be sent in another way
 */
export async function writeUpload(
  client: RegistryClient,
  session: UploadSession,
  { body, size, digest, signal }: { body: ByteSource; size: number; digest: Digest; signal?: AbortSignal },
): Promise<UploadSession> {
  const call = uploadCall(client, session.repository, 'put blob', signal, digest);
  const quirks = quirksOf(client, session.repository.registry);
  // As they are now: uploads that run at the same time learn quirks too.
  const used = { ...quirks };
  const isMonolithic = used.needsMonolithicPut || (size <= MOST_PUT_BYTES && !used.refusesPutWithBody);
  try {
    return await callOnce(call, async () => {
      const isMoved = used.redirectsPatch && !isMonolithic;
      const location = isMoved ? await redirectedLocation(call, session) : session.location;
      const response = await send(call, {
        method: isMonolithic ? 'PUT' : 'PATCH',
        url: isMonolithic ? withDigest(session.location, digest) : location,
        headers: { 'content-type': 'application/octet-stream' },
        body: { source: body, length: size },
        tokenLifetimeMs: TOKEN_LIFETIME_MS,
        responseTimeoutMs: patienceMs(call),
      });
      if (![200, 201, 202, 204].includes(response.status)) throw await writeRefusal(call, response, used, isMonolithic);
      if (!isMonolithic) return sessionAfter(call, response, session.location);
      await discard(response.body);
      if (response.status === 202) throw incomplete(call);
      const fault = digestFault(call, response, digest);
      if (fault !== undefined) throw fault;
      return { ...session, isFinished: true };
    });
  } catch (thrown) {
    const error = toTranshipError(thrown);
    if (isMonolithic && (await isThereAnyway(call, digest, error))) return { ...session, isFinished: true };
    throw error;
  } finally {
    body.cancel();
  }
}

/**
 * As {@link errorOf}. A registry that names a wrong host for its uploads mostly does not know its own name behind a proxy.
 */
async function uploadError(call: Call, response: RegistryResponse): Promise<TranshipError> {
  const error = await errorOf(call, response);
  if (!response.isForeign) return error;
  const { registry } = call.repository;
  const { host } = urlOf(response.endpoint, response.url);
  const mend = `${registry} sends uploads to ${host}: if that is the registry itself, mend its own address in its settings (CNCF distribution: http.host), or have the proxy before it pass on Host and X-Forwarded-Proto`;
  return rephrase(error, { mend });
}

/** Where a PATCH of the session leads: an empty one is followed, which adds nothing to the upload. */
async function redirectedLocation(call: Call, { location }: UploadSession): Promise<string> {
  const headers = { 'content-type': 'application/octet-stream' };
  const response = await send(call, { method: 'PATCH', url: new URL(location), headers });
  await discard(response.body);
  return urlOf(response.endpoint, response.url).href;
}

/** The error of a refused upload. Notes which kind of upload was refused, so that the next try uses the other one. */
async function writeRefusal(
  call: Call,
  response: RegistryResponse,
  used: Pick<Quirks, 'needsMonolithicPut' | 'redirectsPatch'>,
  isMonolithic: boolean,
): Promise<TranshipError> {
  const error = await uploadError(call, response);
  if (response.isForeign) return error;
  const { status } = response;
  const quirks = quirksOf(call.client, call.repository.registry);
  if (isMonolithic && !used.needsMonolithicPut) {
    return isPutRefused(error) || isRedirect(status) ? refusedPut(call, error) : error;
  }
  if (isRedirect(status) && !isMonolithic && !used.redirectsPatch) {
    quirks.redirectsPatch = true;
    return rephrase(error, { class: 'transient' });
  }
  const codes = error.site.registryCodes ?? [];
  const isUnknownSession = codes.includes('BLOB_UPLOAD_UNKNOWN');
  const isUnsupported =
    [405, 501].includes(status) ||
    (status === 404 && !isUnknownSession) ||
    // The registry has just begun the upload; a firewall before it may know no PATCH.
    (status === 403 && codes.length === 0 && !isMonolithic) ||
    (status === 400 && codes.includes('UNSUPPORTED'));
  // ACR takes no PUT of more than 20 MB, Artifactory none at all (goharbor/harbor#23015, docker/buildx#196): back to
  // PATCH.
  if (!isUnsupported && !(isMonolithic && status === 413)) return error;
  quirks.needsMonolithicPut = !isMonolithic;
  return rephrase(error, { class: 'transient', code: 'unsupported' });
}

/**
 * Completes the upload under its digest, with a token that is sure to live long enough: the blob may have taken hours.
 * Not retried here: where no answer comes, or one that says nothing about the blob, the registry is asked once whether
 * it has it.
 *
 * @throws TranshipError `digest-mismatch`, transient, where the registry has other bytes than it should
 */
export async function finishUpload(
  client: RegistryClient,
  session: UploadSession,
  digest: Digest,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  if (session.isFinished) return;
  const call = uploadCall(client, session.repository, 'finish upload', signal, digest);
  const failure = await failureOf(callOnce(call, () => putDigest(call, session, digest)));
  if (failure === undefined || (await isThereAnyway(call, digest, failure))) return;
  throw failure;
}

/**
 * Sends a whole blob and completes its upload in one PUT. Not retried here; see {@link finishUpload}.
 *
 * @param options.body the bytes of the digest
 * @throws TranshipError transient where a new upload may succeed, because it will be sent in another way
 */
export async function putUpload(
  client: RegistryClient,
  session: UploadSession,
  { body, digest, signal }: { body: WholeBody; digest: Digest; signal?: AbortSignal },
): Promise<void> {
  const call = uploadCall(client, session.repository, 'put blob', signal, digest);
  const failure = await failureOf(callOnce(call, () => putDigest(call, session, digest, body)));
  if (failure === undefined || (await isThereAnyway(call, digest, failure))) return;
  throw isPutRefused(failure) ? refusedPut(call, failure) : failure;
}

/**
 * Some take a body only with PATCH: Artifactory says 404 BLOB_UNKNOWN to the PUT (docker/buildx#196). The bytes are right, so
 * whatever says that they are not has not read them.
 */
function isPutRefused({ site: { status = 0, registryCodes = [] } }: TranshipError): boolean {
  const isUnknownSession = status === 404 && registryCodes.includes('BLOB_UPLOAD_UNKNOWN');
  return [400, 404, 405, 411, 413, 415, 416, 422, 501].includes(status) && !isUnknownSession;
}

function refusedPut(call: Call, failure: TranshipError): TranshipError {
  quirksOf(call.client, call.repository.registry).refusesPutWithBody = true;
  return rephrase(failure, { class: 'transient', code: 'unsupported' });
}

async function putDigest(call: Call, session: UploadSession, digest: Digest, body?: WholeBody): Promise<void> {
  const response = await send(call, {
    method: 'PUT',
    url: withDigest(session.location, digest),
    headers: { 'content-type': 'application/octet-stream' },
    body,
    tokenLifetimeMs: TOKEN_LIFETIME_MS,
    responseTimeoutMs: patienceMs(call),
  });
  if (![200, 201, 202, 204].includes(response.status)) throw await uploadError(call, response);
  await discard(response.body);
  const fault = response.status === 202 ? incomplete(call) : digestFault(call, response, digest);
  if (fault !== undefined) throw fault;
}

/**
 * True where the registry has the blob although the last request failed: its response was lost, or does not tell. A 404 may be the
 * response to the same request sent again, after the first had ended the session (exchange.ts).
 */
async function isThereAnyway(call: Call, digest: Digest, failure: TranshipError): Promise<boolean> {
  const isTelling = !['network', 'timeout', 'stalled', 'server-error'].includes(failure.code);
  if (isTelling && ![202, 404].includes(failure.site.status ?? 0)) return false;
  const size = await headBlobOnce(call, digest).catch(() => undefined);
  return size !== undefined;
}

function failureOf(work: Promise<void>): Promise<TranshipError | undefined> {
  return work.then(() => undefined, toTranshipError);
}

/** Tells the registry that the upload will not go on. Many refuse that (it needs the right to delete); never throws. */
export async function cancelUpload(client: RegistryClient, session: UploadSession): Promise<void> {
  if (session.isFinished) return;
  const call = uploadCall(client, session.repository, 'cancel upload', AbortSignal.timeout(10_000));
  try {
    const response = await send(call, { method: 'DELETE', url: new URL(session.location) });
    await discard(response.body);
  } catch {
    // The registry forgets it by itself in time.
  }
}

/** The session after a step: its new Location, or the old one where there is none. */
export async function sessionAfter(call: Call, response: RegistryResponse, previous?: string): Promise<UploadSession> {
  await discard(response.body);
  const { location } = response.headers;
  if (location === undefined && previous !== undefined) {
    return { repository: call.repository, location: previous, isFinished: false };
  }
  const leastChunkBytes = parseLength(response.headers['oci-chunk-min-length']);
  const own = { repository: call.repository, isFinished: false, leastChunkBytes };
  const home = homeLocation(response, location);
  if (home !== undefined) return { ...own, location: home };
  const from = urlOf(response.endpoint, response.url);
  const url = await resolveLocation(call, response.endpoint, from, withOwnPort(location, from));
  url.hash = '';
  return { ...own, location: url.href };
}

/**
 * A Location at the registry's own origin, as most give it: there is nothing to be checked, and nothing to be mended.
 * Undefined for any other.
 */
function homeLocation({ endpoint, isForeign }: RegistryResponse, location: string | undefined): string | undefined {
  if (isForeign || location === undefined || !isPlainUrl(location)) return undefined;
  if (location.startsWith(endpoint.base.href)) return location;
  return location.startsWith('/v2/') ? `${endpoint.origin}${location}` : undefined;
}

/**
 * The Location of an upload, without the registry's own name where the port is missing from it: nginx passes that on with
 * `proxy_set_header Host $http_host`, and leaves it out with the more common `$host` (containers/skopeo#2055).
 */
function withOwnPort(location: string | undefined, from: URL): string | undefined {
  const url = URL.parse(location ?? '', from.href);
  const isPortless = url !== null && url.hostname === from.hostname && url.port === '' && from.port !== '';
  return isPortless && url.pathname.startsWith('/v2/') ? `${url.pathname}${url.search}` : location;
}

/** The query is the registry's and stays as it is, to the byte. */
function withDigest(location: string, digest: Digest): string {
  const separator = location.includes('?') ? (location.endsWith('?') ? '' : '&') : '?';
  return `${location}${separator}digest=${encodeURIComponent(digest)}`;
}

/** The error of a registry that says it stored another digest. It need not say any: the digest was in the request. */
function digestFault(call: Call, response: RegistryResponse, digest: Digest): TranshipError | undefined {
  const claimed = response.headers['docker-content-digest'];
  if (typeof claimed !== 'string' || !isDigest(claimed) || algorithmOf(claimed) !== algorithmOf(digest))
    return undefined;
  if (claimed === digest) return undefined;
  return callError(call, `the registry stored ${claimed}`, { class: 'transient', code: 'digest-mismatch' });
}

function incomplete(call: Call): TranshipError {
  return callError(call, 'the registry says that the upload is not complete', {
    class: 'transient',
    code: 'protocol',
    status: 202,
  });
}

export function uploadCall(
  client: RegistryClient,
  { registry, repository }: Repository,
  operation: string,
  signal: AbortSignal | undefined,
  digest?: Digest,
): Call {
  const subject = `${formatRepository({ registry, repository })}${digest === undefined ? '' : `@${digest}`}`;
  return { client, repository: { registry, repository }, operation, subject, access: 'push', signal };
}
