import type { Readable } from 'node:stream';
import { algorithmOf } from '../model/digest.ts';
import { TranshipError } from '../model/errors.ts';
import { type Digest, formatRepository, isDigest, type Repository } from '../model/reference.ts';
import { headBlobOnce } from './blobs.ts';
import { type Call, callError, callOnce, retryCall } from './call.ts';
import { errorOf } from './http-error.ts';
import { send } from './send.ts';
import { quirksOf, type RegistryClient } from './state.ts';
import { discard } from './wire/body.ts';
import type { Answer } from './wire/exchange.ts';
import { resolveLocation } from './wire/redirect.ts';
import { failIfStuck } from './wire/stuck.ts';

/** An upload that a registry has begun. Plain data; a new one after every step. */
export interface UploadSession {
  repository: Repository;
  /** Absolute URL, opaque: its query is the registry's own. */
  location: string;
  /** The blob is complete already: it went with its digest in one PUT. */
  isFinished: boolean;
}

export type StartedUpload = { kind: 'mounted' } | { kind: 'session'; session: UploadSession };

export interface StartUploadOptions {
  /** The blob, and a repository of the same registry that has it. */
  mount?: { digest: Digest; from: string };
  signal?: AbortSignal;
}

/** Whoever has waited for the upload of gigabytes also waits for a registry that stores them before it answers. */
const ANSWER_PATIENCE = 5;
/** A token must outlive the request it is sent with. */
const TOKEN_LIFETIME_MS = 30_000;

/**
 * Begins the upload of a blob, or has it mounted from another repository, where it then is. A registry that refuses the mount
 * is asked for a plain upload.
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
  return retryCall(call, async () => {
    if (mount !== undefined && mount.from !== repository.repository && !refusedMounts.has(mount.from)) {
      const mounted = await tryMount({ ...call, operation: 'mount blob' }, mount);
      if (mounted !== undefined) return mounted;
    }
    const answer = await send(call, { ...startOf(repository), method: 'POST', actions: 'pull,push' });
    if (answer.status === 202) return { kind: 'session', session: await sessionAfter(call, answer) };
    throw await startRefusal(call, answer);
  });
}

/** Undefined where the registry does not mount, for whatever reason of its own. */
async function tryMount(
  call: Call,
  { digest, from }: { digest: Digest; from: string },
): Promise<StartedUpload | undefined> {
  const query = new URLSearchParams({ mount: digest, from });
  const { url } = startOf(call.repository);
  let status: number | undefined;
  try {
    const answer = await send(call, { method: 'POST', url: `${url}?${query}`, actions: 'pull,push', mountFrom: from });
    status = answer.status;
    if (status === 202) return { kind: 'session', session: await sessionAfter(call, answer) };
    if (status === 201) {
      await discard(answer.body);
      const fault = digestFault(call, answer, digest);
      if (fault !== undefined) throw fault;
      return { kind: 'mounted' };
    }
    if (![400, 401, 403, 404, 405].includes(status)) throw await errorOf(call, answer);
    await discard(answer.body);
  } catch (error) {
    // Docker Hub and Harbor: 401, because `from` may not be read (go-containerregistry#1404, #1679).
    if (!(error instanceof TranshipError) || error.code !== 'unauthorized') throw error;
  }
  // A 404 is about this blob, anything else about the repository it was to come from.
  if (status !== 404) quirksOf(call.client, call.repository.registry).refusedMounts.add(from);
  return undefined;
}

function startOf({ repository }: Repository): { url: string } {
  return { url: `/v2/${repository}/blobs/uploads/` };
}

async function startRefusal(call: Call, answer: Answer): Promise<TranshipError> {
  const error = await errorOf(call, answer);
  if (error.code !== 'not-found') return error;
  return new TranshipError(error.message, {
    ...error.site,
    class: 'permanent',
    code: 'not-found',
    mend: `create the repository ${call.repository.repository} at ${call.repository.registry} first`,
    cause: error,
  });
}

/**
 * Sends the whole blob: one PATCH with its length and no Content-Range, which is what every registry but a few takes (peers
 * 3.1). To one that has refused PATCH it goes with the PUT. Not retried here.
 *
 * @param options.body read to its end, or destroyed
 * @param options.size bytes, exactly
 * @throws TranshipError transient where a new upload may succeed, e.g. because it will be sent in another way
 */
export async function writeUpload(
  client: RegistryClient,
  session: UploadSession,
  { body, size, digest, signal }: { body: Readable; size: number; digest: Digest; signal?: AbortSignal },
): Promise<UploadSession> {
  const call = uploadCall(client, session.repository, 'put blob', signal, digest);
  const quirks = quirksOf(client, session.repository.registry);
  const isMonolithic = quirks.needsMonolithicPut;
  const stuck = failIfStuck(body, client.options.stallMs, () =>
    callError(call, `no bytes taken for ${client.options.stallMs / 1000} s`, { class: 'transient', code: 'stalled' }),
  );
  try {
    return await callOnce(call, async () => {
      // undici would send an empty body for a stream that has ended, and ignore the length (style.md 4.1).
      if (size > 0 && (body.destroyed || body.readableEnded)) {
        throw callError(call, 'there is nothing left to send', { class: 'transient', code: 'size-mismatch' });
      }
      const answer = await send(call, {
        method: isMonolithic ? 'PUT' : 'PATCH',
        url: new URL(isMonolithic ? withDigest(session.location, digest) : session.location),
        actions: 'pull,push',
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
        body,
        tokenLifetimeMs: TOKEN_LIFETIME_MS,
        answerTimeoutMs: client.options.stallMs * ANSWER_PATIENCE,
      });
      if (![200, 201, 202, 204].includes(answer.status)) throw await writeRefusal(call, answer, isMonolithic);
      if (!isMonolithic) return sessionAfter(call, answer, session.location);
      await discard(answer.body);
      if (answer.status === 202) throw incomplete(call);
      const fault = digestFault(call, answer, digest);
      if (fault !== undefined) throw fault;
      return { ...session, isFinished: true };
    });
  } finally {
    stuck.stop();
    body.destroy();
  }
}

/** Notes what kind of upload the registry has refused, so that the next try is made in the other way. */
async function writeRefusal(call: Call, answer: Answer, isMonolithic: boolean): Promise<TranshipError> {
  const error = await errorOf(call, answer);
  if (answer.isForeign) return error;
  const codes = error.site.registryCodes ?? [];
  const isUnknownSession = codes.includes('BLOB_UPLOAD_UNKNOWN');
  const quirks = quirksOf(call.client, call.repository.registry);
  const { status } = answer;
  const isUnsupported =
    [405, 501].includes(status) ||
    (status === 404 && !isUnknownSession) ||
    (status === 400 && codes.includes('UNSUPPORTED'));
  // ACR takes no PUT of more than 20 MB, Artifactory none at all (harbor#23015, buildx#196): back to PATCH.
  if (!isUnsupported && !(isMonolithic && status === 413)) return error;
  quirks.needsMonolithicPut = !isMonolithic;
  return new TranshipError(error.message, { ...error.site, class: 'transient', code: 'unsupported', cause: error });
}

/**
 * Completes the upload under its digest, with a token that is sure to live long enough: the blob may have taken hours.
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
  const failure = await retryCall(call, async (attempt) => {
    const answer = await send(call, {
      method: 'PUT',
      url: new URL(withDigest(session.location, digest)),
      actions: 'pull,push',
      headers: { 'content-type': 'application/octet-stream' },
      tokenLifetimeMs: TOKEN_LIFETIME_MS,
      answerTimeoutMs: client.options.stallMs * ANSWER_PATIENCE,
    });
    if ([200, 201, 204].includes(answer.status)) {
      await discard(answer.body);
      return digestFault(call, answer, digest);
    }
    const error = answer.status === 202 ? incomplete(call) : await errorOf(call, answer);
    // The first try may have succeeded, and only its answer been lost.
    if (attempt > 1 && (await headBlobOnce(call, digest)) !== undefined) return;
    // The session is used up: only a new upload can help.
    if (['digest-mismatch', 'size-mismatch', 'protocol'].includes(error.code)) return error;
    throw error;
  });
  if (failure !== undefined) throw failure;
}

/** Tells the registry that the upload will not go on. Many refuse that (it needs the right to delete); never throws. */
export async function cancelUpload(client: RegistryClient, session: UploadSession): Promise<void> {
  if (session.isFinished) return;
  const call = uploadCall(client, session.repository, 'cancel upload', AbortSignal.timeout(10_000));
  try {
    const answer = await send(call, { method: 'DELETE', url: new URL(session.location), actions: 'pull,push' });
    await discard(answer.body);
  } catch {
    // The registry forgets it by itself in time.
  }
}

/** The session after a step: its new Location, or the old one where there is none. */
async function sessionAfter(call: Call, answer: Answer, previous?: string): Promise<UploadSession> {
  await discard(answer.body);
  const { location } = answer.headers;
  if (location === undefined && previous !== undefined) {
    return { repository: call.repository, location: previous, isFinished: false };
  }
  const url = await resolveLocation(call, answer.endpoint, answer.url, location);
  return { repository: call.repository, location: url.href, isFinished: false };
}

/** The query is the registry's and stays as it is, to the byte. */
function withDigest(location: string, digest: Digest): string {
  const url = new URL(location);
  url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`;
  return url.href;
}

/** Does the registry say that it has another blob than it should? Silence is no fault, the digest was in the request. */
function digestFault(call: Call, answer: Answer, digest: Digest): TranshipError | undefined {
  const claimed = answer.headers['docker-content-digest'];
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

function uploadCall(
  client: RegistryClient,
  { registry, repository }: Repository,
  operation: string,
  signal: AbortSignal | undefined,
  digest?: Digest,
): Call {
  const subject = `${formatRepository({ registry, repository })}${digest === undefined ? '' : `@${digest}`}`;
  return { client, repository: { registry, repository }, operation, subject, signal };
}
