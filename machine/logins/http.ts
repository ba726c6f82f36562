import { askWeb, type Web } from '../../core/web/ask-web.ts';

/** One request to a token service or a metadata server. */
export interface HttpRequest {
  url: string;
  headers?: Record<string, string>;
  /** Sent by POST, as a form; without it, it is a GET. */
  form?: Record<string, string>;
  /** For a server of this machine's own network: no proxy leads there, and it answers at once or is not there. */
  isLocal?: boolean;
}

export interface HttpAnswer {
  status: number;
  body: string;
}

export type Http = (request: HttpRequest) => Promise<HttpAnswer>;

const MAX_BODY_BYTES = 1024 * 1024;
const TIMEOUT_MS = 15_000;
const LOCAL_TIMEOUT_MS = 2_000;

/** Requests to token services by the web's proxies and certificates. What is local is asked without a proxy. */
export function createHttp(web: Web): Http {
  return async ({ url, headers, form, isLocal = false }) => {
    const { status, body, isCut } = await askWeb(isLocal ? { ...web, env: {} } : web, {
      method: form === undefined ? 'GET' : 'POST',
      url: new URL(url),
      headers: {
        accept: 'application/json',
        ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      body: form && new URLSearchParams(form).toString(),
      timeoutMs: isLocal ? LOCAL_TIMEOUT_MS : TIMEOUT_MS,
      maxBytes: MAX_BODY_BYTES,
    });
    if (isCut) throw new Error('the answer is too long');
    return { status, body };
  };
}
