import { dockerHub as registry } from '../../model/reference.ts';
import type { Dialect } from '../dialect.ts';
import { collect } from '../draft.ts';
import { fieldsOf, joinPath, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * Docker Hub: one kind of event, no digest (docker/roadmap#440), no authentication. Its `callback_url` is for chains of
 * webhooks and is never called: anybody could have written it.
 * @see https://docs.docker.com/docker-hub/repos/manage/webhooks/
 */
export const dockerHub: Dialect = {
  registry,
  unreadableStatus: 400,
  parse(request, sender) {
    const body = parseObject(request);
    const push = fieldsOf(body.push_data);
    const repository = fieldsOf(body.repository);
    const path = textOf(repository.repo_name) ?? joinPath(repository.namespace, repository.name);
    if (path === undefined) throw unreadable('the body has no repository');
    return collect(sender, [push], () => ({
      kind: 'push',
      registry,
      repository: path,
      tag: textOf(push.tag),
      at: timeOf(push.pushed_at),
      actor: textOf(push.pusher),
    }));
  },
};
