import * as v from 'valibot';
import type { AuthEntry } from '../../core/model/credentials.ts';
import { configurationError, TranshipError, type TranshipErrorOptions } from '../../core/model/errors.ts';
import { redactText } from '../../core/registry/redact.ts';
import type { Http, HttpRequest } from './http.ts';

/** What a provider's login is got with. */
export interface LoginContext {
  http: Http;
  env: Record<string, string | undefined>;
  /** Undefined where the user has none. */
  homeDir: string | undefined;
  /** Epoch ms. */
  now: () => number;
}

/** A login, and the epoch ms until which it may be used. */
export interface ShortLogin {
  value: AuthEntry;
  until: number;
}

/** A token must outlive each request that begins with it. */
const MARGIN_MS = 5 * 60_000;
/** A lifetime that is shorter, or not stated, is taken for this. */
const LEAST_LIFETIME_MS = 60_000;

/** When a token that lasts so many seconds is to be renewed, epoch ms. */
export function renewalAfter(lifetimeS: unknown, now: number): number {
  const stated = Number(lifetimeS) * 1000;
  const lifetimeMs = Number.isFinite(stated) ? Math.min(stated, 24 * 3_600_000) : 0;
  return now + Math.max(LEAST_LIFETIME_MS, lifetimeMs - Math.min(MARGIN_MS, lifetimeMs / 2));
}

/** The error of a login that nobody can give here: a person has to set something. */
export function noLogin(operation: string, what: string, mend: string): TranshipError {
  return configurationError(`${operation}: ${what}`, { operation, mend });
}

/**
 * A JSON document from a token service.
 * @param options.mend what the user can do where the service refuses
 * @throws TranshipError `unauthorized`, permanent, where it refuses; transient where it is not to be reached
 */
export async function askJson<Schema extends v.GenericSchema>(
  { http }: LoginContext,
  request: HttpRequest,
  { operation, mend, schema }: { operation: string; mend: string; schema: Schema },
): Promise<v.InferOutput<Schema>> {
  const { host } = new URL(request.url);
  const fail = (what: string, options: TranshipErrorOptions) =>
    new TranshipError(`${operation}: ${host} ${what}`, { operation, ...options });
  const answer = await http(request).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw fail(`cannot be reached: ${why}`, { class: 'transient', code: 'network', cause });
  });
  const { status, body } = answer;
  if (status === 429 || status >= 500)
    throw fail(`answers status ${status}`, { class: 'transient', code: 'server-error', status });
  if (status !== 200) {
    const said = errorText(body, secretsOf(request));
    throw fail(`answers status ${status}${said && ` (${said})`}`, {
      class: 'permanent',
      code: 'unauthorized',
      status,
      mend,
    });
  }
  const result = v.safeParse(schema, parseJson(body));
  // No parser's message: it would quote the token.
  if (!result.success) throw fail('gave no token', { class: 'transient', code: 'protocol' });
  return result.output;
}

/** RFC 6749 section 5.2, and what Microsoft's and Google's services add. */
function errorText(body: string, secrets: string[]): string {
  const { error, error_description: description, errors } = Object(parseJson(body));
  const [first] = Array.isArray(errors) ? errors : [];
  const text = [error, description, Object(first).message].filter((part) => typeof part === 'string').join(': ');
  return redactText(text.split(/[\r\n]/)[0] ?? '', 300, secrets);
}

function secretsOf({ form = {}, headers = {} }: HttpRequest): string[] {
  const names = ['client_secret', 'refresh_token', 'access_token', 'assertion', 'client_assertion'];
  return [...names.map((name) => form[name]), headers['x-identity-header']].filter((secret) => secret !== undefined);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
