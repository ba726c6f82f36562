import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { hostOf } from '../image-name.ts';
import { fieldsOf, joinPath, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * Gitea and Forgejo: the event `package`, for every manifest. Names and versions come in lower case, so a tag with
 * capitals is found by the next scheduled run only.
 * @see https://forgejo.org/docs/latest/user/webhooks/
 */
export const gitea: Dialect = {
  hmac: { algorithm: 'sha256', headers: ['x-forgejo-signature', 'x-gitea-signature'] },
  unreadableStatus: 400,
  sendsOnce: true,
  parse(request, sender) {
    const event = request.headers['x-forgejo-event'] ?? request.headers['x-gitea-event'];
    if (event === undefined) throw unreadable('the request has no header X-Gitea-Event or X-Forgejo-Event');
    const { action, package: pack, sender: account } = parseObject(request);
    const { owner, type, name, version, html_url, created_at } = fieldsOf(pack);
    const { login, username } = fieldsOf(owner);
    const path = joinPath(login ?? username, name)?.toLowerCase();
    return collect(sender, [path], () => {
      if (event !== 'package') return ignore('unknown-event', event);
      if (type !== 'container') return ignore('not-an-image', path);
      if (action !== 'created' && action !== 'deleted') return ignore('unknown-event', `${textOf(action)} of ${path}`);
      return {
        kind: action === 'created' ? 'push' : 'delete',
        registry: hostOf(textOf(html_url)),
        repository: path,
        tag: textOf(version),
        at: timeOf(created_at),
        deliveryId: request.headers['x-forgejo-delivery'] ?? request.headers['x-gitea-delivery'],
        actor: textOf(fieldsOf(account).login),
      };
    });
  },
};
