import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { TranshipError } from '../model/errors.ts';
import { askWeb, type Web } from '../web/ask-web.ts';
import type { CertificateFetcher } from './sns-signature.ts';

/** Public keys by which senders' signatures are checked; fetched when first needed, kept in memory. */
export interface SenderKeys {
  google: JWTVerifyGetKey;
  fetchCertificate: CertificateFetcher;
}

const googleKeysUrl = new URL('https://www.googleapis.com/oauth2/v3/certs');
const TIMEOUT_MS = 5_000;
const MAX_KEY_BYTES = 64 * 1024;
const MAX_CERTIFICATES = 16;

/**
 * The keys from where Google and Amazon publish them. One for a process: a new one knows nothing.
 * @param fetchCertificate in place of asking the web
 */
export function createSenderKeys(
  web: Web,
  fetchCertificate: CertificateFetcher = (url) => fetchPem(web, url),
): SenderKeys {
  let google: JWTVerifyGetKey | undefined;
  return {
    google(header, token) {
      // Made when first asked: it makes a Headers, for which Node loads its whole fetch.
      google ??= createRemoteJWKSet(googleKeysUrl, {
        timeoutDuration: TIMEOUT_MS,
        [customFetch]: (url) => fetchKeys(web, new URL(url)),
      });
      return google(header, token);
    },
    fetchCertificate: keepCertificates(fetchCertificate),
  };
}

/** Each certificate is fetched once, also by requests at the same time. A failure is not kept. */
function keepCertificates(fetchCertificate: CertificateFetcher): CertificateFetcher {
  const kept = new Map<string, Promise<string>>();
  return (url) => {
    const known = kept.get(url.href);
    if (known !== undefined) return known;
    const fetched = fetchCertificate(url);
    kept.set(url.href, fetched);
    const oldest = kept.keys().next();
    if (kept.size > MAX_CERTIFICATES && !oldest.done) kept.delete(oldest.value);
    fetched.catch(() => kept.delete(url.href));
    return fetched;
  };
}

async function fetchPem(web: Web, url: URL): Promise<string> {
  const { status, body } = await askWeb(web, { method: 'GET', url, timeoutMs: TIMEOUT_MS, maxBytes: MAX_KEY_BYTES });
  if (status === 200) return body;
  throw new TranshipError(`no certificate there (status ${status})`, {
    class: 'transient',
    code: 'server-error',
    status,
    registry: url.host,
    operation: 'get certificate',
  });
}

async function fetchKeys(web: Web, url: URL): Promise<Response> {
  const { status, body } = await askWeb(web, { method: 'GET', url, timeoutMs: TIMEOUT_MS, maxBytes: MAX_KEY_BYTES });
  return new Response(body, { status });
}
