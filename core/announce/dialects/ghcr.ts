import { isDigest } from '../../model/reference.ts';
import type { Ignored } from '../announcement.ts';
import type { Dialect } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { splitImageName } from '../image-name.ts';
import { type Fields, fieldsOf, joinPath, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * GitHub's container registry: the events `package` and `registry_package`, which say the same. Never sent again by
 * itself.
 * @see https://docs.github.com/en/webhooks/webhook-events-and-payloads#package
 */
export const ghcr: Dialect = {
  registry: 'ghcr.io',
  hmac: { algorithm: 'sha256', headers: ['x-hub-signature-256'], prefix: { text: 'sha256=', optional: false } },
  unreadableStatus: 400,
  sendsOnce: true,
  parse(request, sender) {
    const event = request.headers['x-github-event'];
    if (event === undefined) throw unreadable('the request has no header X-GitHub-Event');
    const body = parseObject(request);
    return collect(sender, [body], () => {
      if (event === 'ping') return ignore('test');
      if (event !== 'package' && event !== 'registry_package') return ignore('unknown-event', event);
      return readPackage(body, fieldsOf(body[event]), request.headers['x-github-delivery']);
    });
  },
};

function readPackage({ action, sender }: Fields, pack: Fields, deliveryId: string | undefined): Draft | Ignored {
  const version = fieldsOf(pack.package_version);
  const what = textOf(version.package_url) ?? textOf(pack.name);
  if (action !== 'published' && action !== 'updated') return ignore('not-a-push', what);
  // The documented sample of a container says `"package_type": "npm"`: only this field tells.
  if (fieldsOf(version.container_metadata) !== version.container_metadata) return ignore('not-an-image', what);

  const { tag, manifest } = fieldsOf(version.container_metadata);
  const image = splitImageName(textOf(version.package_url) ?? '');
  const path = image.repository === '' ? joinPath(fieldsOf(pack.owner).login, pack.name) : image.repository;
  // In GitHub's samples one of these has 40 digits.
  const digests = [version.version, version.name, fieldsOf(manifest).digest, fieldsOf(tag).digest];
  return {
    kind: 'push',
    registry: image.registry === '' ? 'ghcr.io' : image.registry,
    repository: path?.toLowerCase(),
    tag: textOf(fieldsOf(tag).name) ?? image.tag,
    digest: digests.find((digest): digest is string => typeof digest === 'string' && isDigest(digest)),
    at: timeOf(pack.updated_at),
    deliveryId,
    actor: textOf(fieldsOf(sender).login),
  };
}
