import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { loadSenders } from '../../core/announce/load-senders.ts';
import type { Sender } from '../../core/announce/sender.ts';
import { configurationError, toFailure } from '../../core/model/errors.ts';
import { kept } from '../../core/model/kept.ts';
import { awsError } from '../aws/errors.ts';
import type { Log } from '../aws/telemetry.ts';

/** A changed secret holds after this time at the latest; both the old and the new one can be valid meanwhile. */
const KEEP_MS = 5 * 60_000;

/**
 * The configured senders. What the webhooks file says of them ships with the function, the values of its variables are
 * in a secret. A sender whose values are missing or unfit is left out, and the others are not.
 *
 * @param options.entries of the webhooks file, by the senders' names
 * @throws TranshipError (from the result) naming the secret, never what is in it
 */
export function createSenderReader(options: {
  entries: Record<string, unknown>;
  client: SecretsManagerClient;
  secretId: string;
  log: Log;
  now: () => number;
}): () => Promise<Map<string, Sender>> {
  const { entries, client, secretId, log, now } = options;
  const senders = kept(
    async () => {
      const values = await readValues(client, secretId);
      const found = new Map<string, Sender>();
      for (const [name, entry] of Object.entries(entries)) {
        try {
          const text = JSON.stringify({ [name]: entry });
          for (const [, sender] of loadSenders(text, { file: 'webhooks file', env: values })) {
            found.set(name, sender);
          }
        } catch (error) {
          log.error('sender left out', { sender: name, secretId, failure: toFailure(error) });
        }
      }
      return { value: found, until: now() + KEEP_MS };
    },
    { now },
  );
  return () => senders(false);
}

/**
 * The values of the variables in a webhooks file.
 * @throws TranshipError naming the secret, never what is in it
 */
export async function readValues(client: SecretsManagerClient, secretId: string): Promise<Record<string, string>> {
  const { SecretString = '' } = await client.send(new GetSecretValueCommand({ SecretId: secretId })).catch((error) => {
    throw awsError(`read secret ${secretId}`, error);
  });
  const values = parseValues(SecretString);
  if (values !== undefined) return values;
  throw configurationError(`secret ${secretId} is no JSON object of texts`, {
    mend: 'put in {"NAME": "value"} for each variable of the webhooks file',
  });
}

function parseValues(text: string): Record<string, string> | undefined {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return undefined;
  const isText = Object.values(values).every((value) => typeof value === 'string');
  return isText ? (values as Record<string, string>) : undefined;
}
