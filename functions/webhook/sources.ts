import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { loadWebhookSources } from '../../core/announce/load-sources.ts';
import type { WebhookSource } from '../../core/announce/source.ts';
import { TranshipError } from '../../core/errors.ts';
import { fromAws } from '../aws/errors.ts';
import { kept } from '../aws/kept.ts';

/** A changed secret holds after this time at the latest; both the old and the new one can be valid meanwhile. */
const KEEP_MS = 5 * 60_000;

/**
 * The configured senders, from the secret that holds the webhooks file.
 * @throws TranshipError (from the result) naming the secret, never what is in it
 */
export function createSourceReader(options: {
  client: SecretsManagerClient;
  secretId: string;
  now: () => number;
}): () => Promise<Map<string, WebhookSource>> {
  const { client, secretId, now } = options;
  const sources = kept(async () => {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId })).catch((error) => {
      throw fromAws(`read secret ${secretId}`, error);
    });
    if (SecretString === undefined) {
      throw new TranshipError(`secret ${secretId} holds no text`, { class: 'configuration', code: 'config-invalid' });
    }
    const value = loadWebhookSources(SecretString, { file: `secret ${secretId}`, env: {} });
    return { value, until: now() + KEEP_MS };
  }, now);
  return () => sources(false);
}
