import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import { TranshipError } from '../model/errors.ts';
import type { CertificateFetcher } from './sns-signature.ts';

/** Public keys by which senders' signatures are checked; fetched when first needed, kept in memory. */
export interface SenderKeys {
  google: JWTVerifyGetKey;
  fetchCertificate: CertificateFetcher;
}

const googleKeysUrl = new URL('https://www.googleapis.com/oauth2/v3/certs');
const TIMEOUT_MS = 5_000;
const MAX_PEM_BYTES = 64 * 1024;
const MAX_CERTIFICATES = 16;

/** The keys from where Google and Amazon publish them. One for a process: a new one knows nothing. */
export function createSenderKeys(fetchPem: CertificateFetcher = fetchText): SenderKeys {
  return {
    google: createRemoteJWKSet(googleKeysUrl, { timeoutDuration: TIMEOUT_MS }),
    fetchCertificate: keepCertificates(fetchPem),
  };
}

/** Each certificate is fetched once, also by requests at the same time. A failure is not kept. */
function keepCertificates(fetchPem: CertificateFetcher): CertificateFetcher {
  const kept = new Map<string, Promise<string>>();
  return (url) => {
    const known = kept.get(url.href);
    if (known !== undefined) return known;
    const fetched = fetchPem(url);
    kept.set(url.href, fetched);
    const oldest = kept.keys().next();
    if (kept.size > MAX_CERTIFICATES && !oldest.done) kept.delete(oldest.value);
    fetched.catch(() => kept.delete(url.href));
    return fetched;
  };
}

async function fetchText(url: URL): Promise<string> {
  const site = { registry: url.host, operation: 'get certificate' };
  try {
    const { status, body } = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const decoder = new TextDecoder();
    let pem = '';
    for await (const part of body ?? []) {
      pem += decoder.decode(part, { stream: true });
      if (status !== 200 || pem.length > MAX_PEM_BYTES) {
        throw new TranshipError(`no certificate there (status ${status})`, {
          class: 'transient',
          code: 'server-error',
          status,
          ...site,
        });
      }
    }
    return pem;
  } catch (error) {
    if (error instanceof TranshipError) throw error;
    throw new TranshipError('the certificate could not be fetched', {
      class: 'transient',
      code: 'network',
      cause: error,
      ...site,
    });
  }
}
