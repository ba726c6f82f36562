import { createHmac } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { TranshipError } from '../model/errors.ts';
import { isOneOf } from './constant-time.ts';
import type { HmacForm, WebhookRequest } from './dialect.ts';
import { dialects } from './dialects.ts';
import type { SenderKeys } from './keys.ts';
import { fieldsOf, parseJson } from './payload.ts';
import type { Authentication, Sender } from './sender.ts';
import { readSnsMessage } from './sns-message.ts';
import { verifySnsSignature } from './sns-signature.ts';

export interface VerifyDeps {
  keys: SenderKeys;
  /** Epoch ms. */
  now: () => number;
}

/**
 * Splits `/hooks/<sender>/<token>` or `/hooks/<sender>` into its parts.
 * @returns undefined for any other path, also for one that ends with a slash
 */
export function splitHookPath(path: string): { name: string; token: string } | undefined {
  const parts = /^\/hooks\/([a-z0-9][a-z0-9-]{0,62})(?:\/([A-Za-z0-9_.~-]{1,200}))?$/.exec(path);
  return parts === null ? undefined : { name: parts[1]!, token: parts[2] ?? '' };
}

/** Whether the URL has the sender's token, where it has one. */
export function isHookPath(path: string, sender: Sender): boolean {
  const parts = splitHookPath(path);
  const token = parts?.token ?? '';
  // An URL with a token too many is not the one that was handed out.
  return parts?.name === sender.name && isOneOf(token, sender.urlTokens.length === 0 ? [''] : sender.urlTokens);
}

/**
 * Checks that the request is the configured sender's, over the raw body and before anything else is made of it (but
 * SNS's signature, which is inside).
 *
 * @throws TranshipError `unauthorized` where it is not; transient where the key to check with cannot be had now
 */
export async function verifySender(request: WebhookRequest, sender: Sender, deps: VerifyDeps): Promise<void> {
  const { auth } = sender;
  switch (auth.kind) {
    case 'url':
      return;
    case 'hmac':
      return verifyHmac(request, auth.secrets, dialects[sender.dialect].hmac);
    case 'header':
      return verifyText(request.headers[auth.name], auth.secrets, `the header ${auth.name}`);
    case 'bearer':
      return verifyText(bearerOf(request), auth.secrets, 'the bearer token');
    case 'basic':
      return verifyText(
        basicOf(request),
        auth.logins.map(({ username, password }) => `${username}:${password}`),
        'the login',
      );
    case 'google-oidc':
      return verifyGoogle(bearerOf(request), auth, deps);
    case 'sns':
      return verifySns(request, auth, deps);
  }
}

function verifyHmac(request: WebhookRequest, secrets: string[], form: HmacForm | undefined): void {
  const header = form?.headers.find((name) => request.headers[name] !== undefined);
  const value = header === undefined ? undefined : request.headers[header];
  if (form === undefined || value === undefined) throw unauthorized('the signature is missing');
  const { text: prefix, optional } = form.prefix ?? { text: '', optional: true };
  if (!value.startsWith(prefix) && !optional) throw unauthorized('the signature is not in the form that is expected');
  // Some write hexadecimal digits in capitals.
  const signature = (value.startsWith(prefix) ? value.slice(prefix.length) : value).toLowerCase();
  const expected = secrets.map((secret) => createHmac(form.algorithm, secret).update(request.rawBody).digest('hex'));
  if (!isOneOf(signature, expected)) throw unauthorized('the signature is wrong');
}

function verifyText(given: string | undefined, secrets: string[], what: string): void {
  if (given === undefined) throw unauthorized(`${what} is missing`);
  // Node reads a header byte by byte; what is not ASCII is sent as UTF-8 as a rule.
  const asUtf8 = Buffer.from(given, 'latin1').toString('utf8');
  const [isRight, isRightInUtf8] = [isOneOf(given, secrets), isOneOf(asUtf8, secrets)];
  if (!isRight && !isRightInUtf8) throw unauthorized(`${what} is wrong`);
}

function bearerOf(request: WebhookRequest): string | undefined {
  return /^bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
}

function basicOf(request: WebhookRequest): string | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
}

/** What can be wrong with fetching the keys, not with the token. */
const keyErrors = ['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'];

/**
 * Any Google identity can have a token made for any audience, so it is the account that counts (CVE-2026-40109).
 * @see https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
 */
async function verifyGoogle(
  token: string | undefined,
  auth: Extract<Authentication, { kind: 'google-oidc' }>,
  { keys, now }: VerifyDeps,
): Promise<void> {
  if (token === undefined) throw unauthorized('the bearer token is missing');
  try {
    const { payload } = await jwtVerify(token, keys.google, {
      algorithms: ['RS256'],
      issuer: ['https://accounts.google.com', 'accounts.google.com'],
      audience: auth.audience,
      requiredClaims: ['exp', 'iat'],
      clockTolerance: 60,
      currentDate: new Date(now()),
    });
    if (payload.email_verified !== true || typeof payload.email !== 'string' || payload.email !== auth.email) {
      throw unauthorized('the token is of another account');
    }
  } catch (error) {
    if (error instanceof TranshipError) throw error;
    if (error instanceof errors.JOSEError && !keyErrors.includes(error.code)) {
      throw unauthorized(`the token is not accepted (${error.code})`);
    }
    throw new TranshipError("Google's keys could not be fetched", {
      class: 'transient',
      code: 'network',
      operation: 'verify push event',
      cause: error,
    });
  }
}

async function verifySns(
  request: WebhookRequest,
  auth: Extract<Authentication, { kind: 'sns' }>,
  { keys, now }: VerifyDeps,
): Promise<void> {
  const message = readSnsMessage(fieldsOf(parseJson(request.rawBody.toString('utf8'))));
  if (message === undefined) throw unauthorized('the message is not signed by SNS: raw delivery must be off');
  if (!auth.topics.includes(message.topic)) throw unauthorized('the message is of another topic');
  await verifySnsSignature(message, { fetchCertificate: keys.fetchCertificate, now });
}

function unauthorized(what: string): TranshipError {
  return new TranshipError(what, { class: 'permanent', code: 'unauthorized', operation: 'verify push event' });
}
