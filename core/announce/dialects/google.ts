import type { Dialect } from '../dialect.ts';
import { collect, ignore } from '../draft.ts';
import { splitImageName } from '../image-name.ts';
import { fieldsOf, parseJson, parseObject, textOf, timeOf, unreadable } from '../payload.ts';

/**
 * Google Artifact Registry and Container Registry: Pub/Sub messages of the topic `gcr`, wrapped or not. What is not
 * answered with success returns for days, so what cannot be read is acknowledged too.
 * @see https://cloud.google.com/artifact-registry/docs/configure-notifications
 */
export const google: Dialect = {
  unreadableStatus: 200,
  parse(request, sender) {
    const body = parseObject(request);
    const message = fieldsOf(body.message);
    const wrapped = textOf(message.data);
    const event = wrapped === undefined ? body : fieldsOf(parseJson(Buffer.from(wrapped, 'base64').toString('utf8')));
    const action = textOf(event.action);
    if (action === undefined) throw unreadable('the message has no action');
    return collect(sender, [event], () => {
      if (action !== 'INSERT' && action !== 'DELETE') return ignore('unknown-event', action);
      const [tagged, byDigest] = [event.tag, event.digest].map((name) => splitImageName(textOf(name) ?? ''));
      const image = textOf(event.tag) === undefined ? byDigest : tagged;
      return {
        kind: action === 'INSERT' ? 'push' : 'delete',
        registry: image?.registry,
        repository: image?.repository,
        tag: image?.tag,
        digest: byDigest?.digest,
        at: timeOf(message.publishTime) ?? timeOf(request.headers['x-goog-pubsub-publish-time']),
        deliveryId: textOf(message.messageId) ?? request.headers['x-goog-pubsub-message-id'],
      };
    });
  },
};
