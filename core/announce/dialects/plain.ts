import { toTranshipError } from '../../model/errors.ts';
import { parseReference } from '../../model/reference.ts';
import type { Ignored } from '../announcement.ts';
import { isCloudEventBody, readCloudEvent, toCloudEvent } from '../cloud-event.ts';
import { readImageEvent } from '../cloud-image.ts';
import type { Dialect } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { withoutScheme } from '../image-name.ts';
import { fieldsOf, joinPath, parseBody, textOf, unreadable } from '../payload.ts';

/**
 * Our own, for scripts and for senders not known here: `{"image": "host/repository:tag"}`, with `"action": "delete"`
 * where it is one, or a list of these. Images are written as for `docker pull`, but no tag means no tag. `name`, with
 * `tag` and `digest` beside it, is how Keel's native webhook writes it. CloudEvents about images are taken too ({@link
 * readImageEvent}).
 */
export const plain: Dialect = {
  hmac: { algorithm: 'sha256', headers: ['x-hub-signature-256'], prefix: { text: 'sha256=', optional: false } },
  unreadableStatus: 400,
  isScript: true,
  parse(request, sender) {
    if (request.headers['ce-type'] !== undefined) return collect(sender, [readCloudEvent(request)], readImageEvent);
    const body = parseBody(request);
    if (typeof body !== 'object' || body === null) throw unreadable('the body is neither a JSON object nor a list');
    return collect(sender, Array.isArray(body) ? body : [body], readEvent);
  },
};

function readEvent(event: unknown): Draft | Ignored {
  const fields = fieldsOf(event);
  if (isCloudEventBody(fields)) return readImageEvent(toCloudEvent(fields));
  const { image, host, name, tag, digest, action = 'push' } = fields;
  const text = textOf(image) ?? joinPath(host, name) ?? textOf(name);
  if (text === undefined) {
    return ignore('malformed', undefined, 'an event has a field image: {"image": "registry.example.com/team/app:1.0"}');
  }
  if (action !== 'push' && action !== 'delete') {
    return ignore('unknown-event', text, 'action is neither push nor delete');
  }
  try {
    const reference = parseReference(withoutScheme(text));
    return {
      kind: action,
      ...reference,
      tag: reference.tag ?? textOf(tag),
      digest: reference.digest ?? textOf(digest),
    };
  } catch (error) {
    return ignore('malformed', text, toTranshipError(error).message);
  }
}
