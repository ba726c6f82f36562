import { formatEcrHost } from '../registry/ecr-host.ts';
import type { Ignored } from './announcement.ts';
import type { CloudEvent } from './cloud-event.ts';
import { type Draft, ignore } from './draft.ts';
import { hostOf, withoutScheme } from './image-name.ts';
import { joinPath, textOf } from './payload.ts';

/**
 * Reads a CloudEvent about an image from a script or a transformer of events. The names are those that Argo CD Image
 * Updater takes: in `data` the fields `repositoryName` or `repository`, `imageTag` or `tag`, `imageDigest` or `digest`,
 * `registryUrl` or `registry`; else `subject` is `repository:tag`, and `source` the registry.
 *
 * @see https://argocd-image-updater.readthedocs.io/en/stable/configuration/webhook/
 */
export function readImageEvent({ type, id, at, data, source, subject }: CloudEvent): Draft | Ignored {
  const what = `${type} of ${subject ?? source}`;
  const isEcr = /^com\.amazon\.ecr\./i.test(type);
  if (!isEcr && !/container|image/i.test(type)) return ignore('unknown-event', what);
  if (/pull|scan/i.test(type)) return ignore('not-a-push', what);
  const [, subjectPath, subjectTag] = /^([^:]*):?(.*)$/s.exec(subject ?? '') ?? [];
  return {
    kind: /delete|remove/i.test(type) ? 'delete' : 'push',
    registry: isEcr
      ? ecrHostOf(source, textOf(data.registryId))
      : (textOf(data.registryUrl) ?? textOf(data.registry) ?? registryOf(source)),
    repository: textOf(data.repositoryName) ?? textOf(data.repository) ?? joinPath(subjectPath),
    tag: textOf(data.imageTag) ?? textOf(data.tag) ?? textOf(subjectTag),
    digest: textOf(data.imageDigest) ?? textOf(data.digest),
    at,
    deliveryId: id,
  };
}

/** `https://registry.example.com/…`, or `registry.example.com/…`. */
function registryOf(source: string | undefined): string | undefined {
  return hostOf(`https://${withoutScheme(source ?? '')}`);
}

/** `urn:aws:ecr:<region>:<account>:repository/<name>`, or as an ARN. */
function ecrHostOf(source: string | undefined, registryId: string | undefined): string | undefined {
  const parts = /^(?:urn|arn):aws[a-z-]*:ecr:([a-z0-9-]+):(\d{12}):/.exec(source ?? '');
  if (parts === null) return undefined;
  const [, region = '', account = ''] = parts;
  return formatEcrHost({ account: registryId ?? account, region });
}
