import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { hostOf } from '../image-name.ts';
import { fieldsOf, joinPath, parseObject, textOf, unreadable } from '../payload.ts';
import { placeInside } from '../repositories.ts';

/**
 * JFrog Artifactory, docker domain. Which host and path an image has depends on how Docker is let in (path, sub-domain
 * or port) and on virtual repositories: `repositories` says it, the default is the path method at `jpd_origin`.
 * @see https://jfrog.com/help/r/jfrog-platform-administration-documentation/docker-webhook-events
 */
export const artifactory: Dialect = {
  hmac: { algorithm: 'sha256', headers: ['x-jfrog-event-auth'], prefix: { text: 'sha256=', optional: true } },
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    const [domain, type] = [textOf(body.domain), textOf(body.event_type)];
    if (domain === undefined || type === undefined) throw unreadable('the body has no domain and type of event');
    const { repo_key, image_name, path, tag, sha256 } = fieldsOf(body.data);
    return collect(sender, [body], () => {
      const what = `${domain} ${type} of ${textOf(image_name)}`;
      if (domain !== 'docker') return ignore('not-an-image', what);
      if (type !== 'pushed' && type !== 'promoted' && type !== 'deleted') return ignore('unknown-event', what);
      const segments = (textOf(path) ?? '').split('/');
      const key = textOf(repo_key) ?? '';
      const image = textOf(image_name) ?? textOf(segments.slice(0, -2).join('/'));
      const place = placeInside(sender, key, { registry: hostOf(textOf(body.jpd_origin)), path: key });
      if (place === undefined) return ignore('not-allowed', `${key}/${image}`);
      return {
        kind: type === 'deleted' ? 'delete' : 'push',
        registry: place.registry,
        repository: place.path === '' ? image : joinPath(place.path, image),
        // The folder of a manifest that has no tag is its digest.
        tag: (textOf(tag) ?? segments.at(-2))?.replace(/^sha256__/, 'sha256:'),
        digest: textOf(sha256) && `sha256:${sha256}`,
        actor: textOf(body.source),
      };
    });
  },
};
