import { digestOf } from '../model/digest.ts';
import { rephrase, type TranshipError } from '../model/errors.ts';
import { OCI_MANIFEST } from '../model/media-types.ts';
import { type Digest, formatTarget, type Target } from '../model/reference.ts';
import { headBlob } from './blobs.ts';
import { type Call, callError, retryCall } from './call.ts';
import { parseEcrHost } from './ecr-host.ts';
import { isMissing, parseErrors, refusal } from './http-error.ts';
import { type FetchedManifest, getManifest, headManifest, putManifest } from './manifests.ts';
import { send } from './send.ts';
import type { RegistryClient } from './state.ts';
import { putUpload, startUpload } from './uploads.ts';
import { discard, readStart } from './wire/body.ts';

/**
 * What became of a tag that was to be deleted. `changed`: it is at another digest than was said, and stays. `needed`: an
 * index that stays names its image, and the registry would delete that, too.
 */
export type TagDeletion = 'deleted' | 'absent' | 'changed' | 'needed';

/** The registry took the deletion, does not have it, or does not delete in this way. */
type Answer = { kind: 'deleted' } | { kind: 'absent' } | { kind: 'unsupported'; error: TranshipError };

const EMPTY = Buffer.from('{}');

/**
 * Deletes a tag and nothing else: its manifest stays for other tags and indexes that name it.
 *
 * Registries that only delete by digest (CNCF distribution 2, Harbor) would take every tag of that digest with it. There the
 * tag is first moved to a small manifest of its own, which is then deleted by its digest, as regclient does. Where that
 * fails half-way the tag is moved back.
 *
 * @param expected the digest that the tag is at; one that is elsewhere is left alone
 * @throws TranshipError `unsupported` where the registry deletes nothing; `denied`
 * @see distribution spec, "Deleting tags"
 */
export async function deleteTag(
  client: RegistryClient,
  target: Target & { tag: string },
  expected: Digest,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TagDeletion> {
  const { registry, repository } = target;
  const call: Call = {
    client,
    repository: { registry, repository },
    operation: 'delete tag',
    subject: formatTarget(target),
    access: 'delete',
    signal,
  };
  const { ecrImages } = client.options;
  if (parseEcrHost(registry) !== undefined && (await ecrImages?.takes(target))) {
    return retryCall(call, async () => (await ecrImages?.deleteTag(target, signal)) ?? 'absent');
  }
  const byTag = await retryCall(call, () => requestDeletion(call, pathOf(target)));
  if (byTag.kind !== 'unsupported') return byTag.kind;
  return deleteByPlaceholder(call, target, expected, byTag.error);
}

/** The ACR untags by a path of its own, and answers 405 to a tag in the specification's (fluxcd/pkg#328). */
function pathOf({ registry, repository, tag }: Target): string {
  const isAcr = /\.azurecr\.(?:io|cn|us)$/.test(registry);
  return isAcr ? `/acr/v1/${repository}/_tags/${tag}` : `/v2/${repository}/manifests/${tag}`;
}

async function requestDeletion(call: Call, url: string): Promise<Answer> {
  const response = await send(call, { method: 'DELETE', url });
  if ([200, 202, 204].includes(response.status)) {
    await discard(response.body);
    return { kind: 'deleted' };
  }
  const errors = parseErrors(await readStart(response.body, 64 * 1024), response.secrets);
  const error = refusal(call, response, errors);
  // A 404 without a code is that of a server which knows no such path (ECR).
  if (response.status === 404 && errors.codes.length > 0 && isMissing(404, errors.codes, errors.text)) {
    return { kind: 'absent' };
  }
  const isUnsupported = [400, 404, 405, 501].includes(response.status) || errors.codes.includes('UNSUPPORTED');
  if (!isUnsupported) throw error;
  return { kind: 'unsupported', error };
}

async function deleteByPlaceholder(
  call: Call,
  target: Target & { tag: string },
  expected: Digest,
  refused: TranshipError,
): Promise<TagDeletion> {
  const { client, signal } = call;
  const { registry, repository } = target;
  const placeholder = placeholderOf(target);
  const url = `/v2/${repository}/manifests/${placeholder.digest}`;
  // Asked before anything is changed: with deletions switched off it is refused, whether it is there or not.
  const rehearsal = await retryCall(call, () => requestDeletion(call, url));
  if (rehearsal.kind === 'unsupported') {
    throw rephrase(refused, {
      class: 'permanent',
      code: 'unsupported',
      mend: `${registry} deletes no tags: allow deletions there (CNCF distribution: storage.delete.enabled), or take delete out of the rule`,
    });
  }
  if ((await headManifest(client, target, { access: 'push', signal })) === undefined) return 'absent';
  await bringEmptyBlob(call);
  const before = await getManifest(client, target, { signal });
  if (before.digest !== expected) return 'changed';
  await putManifest(client, target, placeholder, { signal });
  try {
    const end = await retryCall(call, () => requestDeletion(call, url));
    if (end.kind === 'unsupported') throw end.error;
    if ((await headManifest(client, target, { access: 'push', signal })) === undefined) return 'deleted';
    throw callError(call, 'the registry deletes manifests and keeps their tags', {
      class: 'permanent',
      code: 'unsupported',
    });
  } catch (error) {
    await putManifest(client, target, before, { signal: AbortSignal.timeout(client.options.stallMs) });
    throw error;
  }
}

/** The digest of what a tag is at between the two steps of its deletion: a worker that died there left it. */
export function placeholderDigest(target: Target): Digest {
  return placeholderOf(target).digest;
}

/** An image of nothing, as the image specification has it ("Guidelines for Artifact Usage"), and of this tag alone. */
function placeholderOf(target: Target): FetchedManifest {
  const nothing = { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(EMPTY), size: EMPTY.length };
  const document = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: nothing,
    layers: [nothing],
    annotations: { 'org.opencontainers.image.description': `${formatTarget(target)} is being deleted by tranship` },
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, mediaType: OCI_MANIFEST, digest: digestOf(bytes) };
}

async function bringEmptyBlob({ client, repository, signal }: Call): Promise<void> {
  const digest = digestOf(EMPTY);
  if ((await headBlob(client, repository, digest, { access: 'push', signal })) !== undefined) return;
  const started = await startUpload(client, repository, { signal });
  if (started.kind === 'mounted') return;
  await putUpload(client, started.session, { body: [EMPTY], digest, signal });
}
