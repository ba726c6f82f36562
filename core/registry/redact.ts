import { shorten } from '../model/shorten.ts';

/** Query parameters that hold no secret; any other may be a presigned URL's signature. */
const harmless = new Set(['scope', 'service', 'mount', 'from', 'digest', 'n', 'last', 'artifactType']);

/** A URL for messages: without login and fragment, values of unknown query parameters left out. */
export function redactUrl(url: URL): string {
  const query = [...url.searchParams].map(([name, value]) => (harmless.has(name) ? `${name}=${value}` : `${name}=…`));
  return clean(`${url.origin}${url.pathname}${query.length > 0 ? `?${query.join('&')}` : ''}`, 500);
}

/**
 * Text of a registry for messages: one line, no control characters, at most `maxLength` characters, URLs redacted, and
 * without the given secrets, which a careless or hostile registry might echo.
 */
export function redactText(text: string, maxLength: number, secrets: readonly string[] = []): string {
  let safe = text.slice(0, 64 * 1024);
  for (const secret of secrets) if (secret.length > 0) safe = safe.replaceAll(secret, '…');
  safe = safe.replace(/https?:\/\/[^\s"'<>]+/gi, (match) => {
    const url = URL.parse(match);
    return url === null ? '…' : redactUrl(url);
  });
  return clean(safe, maxLength);
}

function clean(text: string, maxLength: number): string {
  // Cf and U+2028 beside control characters: marks that reverse the direction of text, and line separators. Cs: halves of
  // characters, which cannot be sent as UTF-8.
  const plain = text
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ')
    .replace(/ {2,}/g, ' ')
    .trim();
  return shorten(plain, maxLength);
}
