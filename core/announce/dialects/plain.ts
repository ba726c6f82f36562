import { hasCode } from '../../model/errors.ts';
import { parseReference, type Reference } from '../../model/reference.ts';
import type { Ignored } from '../announcement.ts';
import type { Dialect } from '../dialect.ts';
import { collect, type Draft, ignore } from '../draft.ts';
import { fieldsOf, parseBody, textOf, unreadable } from '../payload.ts';

/**
 * Our own, for scripts and for senders not known here: `{"image": "host/repository:tag"}`, with `"action": "delete"` where it
 * is one, or a list of these. Images are written as for `docker pull`, but no tag means no tag.
 */
export const plain: Dialect = {
  hmac: { algorithm: 'sha256', headers: ['x-hub-signature-256'], prefix: { text: 'sha256=', optional: false } },
  unreadableStatus: 400,
  parse(request, source) {
    const body = parseBody(request);
    if (typeof body !== 'object' || body === null) throw unreadable('the body is neither a JSON object nor a list');
    return collect(source, Array.isArray(body) ? body : [body], readEvent);
  },
};

function readEvent(event: unknown): Draft | Ignored {
  const { image, action = 'push' } = fieldsOf(event);
  const text = textOf(image);
  if (text === undefined) return ignore('malformed', 'an event without an image');
  if (action !== 'push' && action !== 'delete') return ignore('unknown-event', `${textOf(action)} of ${text}`);
  const reference = referenceOf(text);
  return reference === undefined ? ignore('malformed', text) : { kind: action, ...reference };
}

function referenceOf(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    if (hasCode(error, 'config-invalid')) return undefined;
    throw error;
  }
}
