import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../core/registry/auth/challenge.ts';
import { parseContentRange } from '../../core/registry/headers/content-range.ts';
import { parseNextLink } from '../../core/registry/headers/link.ts';
import { parsePullQuota } from '../../core/registry/headers/rate-limit.ts';
import { MAX_RETRY_AFTER_MS, parseRetryAfter } from '../../core/registry/headers/retry-after.ts';
import { parseWarnings } from '../../core/registry/headers/warning.ts';
import { redactText, redactUrl } from '../../core/registry/redact.ts';

/** Text that lies around the grammars, so that random input gets far into the parsers. */
const nearGrammar = fc.stringMatching(/^(?:[A-Za-z0-9 ,;="\\<>/:._-]|Bearer|realm=|rel=|next|bytes |299 - )*$/);

describe('RateLimit-Limit and RateLimit-Remaining', () => {
  it.each([
    ['100;w=21600', '37;w=21600', { limit: 100, remaining: 37, windowMs: 21_600_000 }],
    ['100 ; w=21600', '0', { limit: 100, remaining: 0, windowMs: 21_600_000 }],
    ['100;w=21600', '200;w=21600', { limit: 100, remaining: 100, windowMs: 21_600_000 }],
    // GitLab's, which count all requests.
    ['2000', '1999', undefined],
    ['0;w=21600', '0;w=21600', undefined],
    ['100;w=0', '1;w=0', undefined],
    ['100;w=21600', undefined, undefined],
    ['-1;w=21600', '1', undefined],
    ['100;w=21600, 10;w=1', '1;w=1', undefined],
  ])('%s and %s', (limit, remaining, quota) => {
    expect(parsePullQuota({ 'ratelimit-limit': limit, 'ratelimit-remaining': remaining })).toEqual(quota);
  });
});

describe('WWW-Authenticate', () => {
  const read = (header: string | string[]) =>
    parseChallenges(header).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);

  it('keeps the commas of a quoted scope', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"';
    expect(read(header)).toEqual([
      [
        'bearer',
        { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
      ],
    ]);
  });

  it('tells several challenges in one header apart', () => {
    expect(read('Negotiate, Basic realm="x, y=\\"z\\"" , Bearer realm=t ,, service = s')).toEqual([
      ['negotiate', {}],
      ['basic', { realm: 'x, y="z"' }],
      ['bearer', { realm: 't', service: 's' }],
    ]);
  });

  it.each([
    ['Basic realm=/', 'basic', { realm: '/' }],
    ["Bearer realm='https://r/token', service='s'", 'bearer', { realm: 'https://r/token', service: 's' }],
    ['Bearer realm=https://r/token?a=b,service=s', 'bearer', { realm: 'https://r/token?a=b', service: 's' }],
  ])('takes values that are not quoted as they should be: %s', (header, scheme, params) => {
    expect(read(header)).toEqual([[scheme, params]]);
  });

  it('steps over the token68 of a scheme it does not speak', () => {
    expect(read('NTLM TlRMTVNTUAAC==, Basic realm="r"')).toEqual([
      ['ntlm', {}],
      ['basic', { realm: 'r' }],
    ]);
  });

  it('reads headers that come more than once', () => {
    expect(read(['Basic realm="a"', 'Bearer realm="b"'])).toEqual([
      ['basic', { realm: 'a' }],
      ['bearer', { realm: 'b' }],
    ]);
  });

  it('drops what is not finished', () => {
    expect(read('Bearer realm="https://a')).toEqual([['bearer', {}]]);
    expect(read('"')).toEqual([]);
  });

  it('reads back whatever it is given in the grammar', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/);
    const challenge = fc.record({
      scheme: fc.stringMatching(/^[A-Z][A-Za-z0-9]{1,8}$/),
      params: fc.dictionary(name, fc.string(), { minKeys: 1, maxKeys: 4 }),
    });
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 3 }), (challenges) => {
        const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;
        const header = challenges
          .map(
            ({ scheme, params }) =>
              `${scheme} ${Object.entries(params).map(([key, value]) => `${key}=${quote(value)}`)}`,
          )
          .join(', ');
        expect(read(header)).toEqual(challenges.map(({ scheme, params }) => [scheme.toLowerCase(), { ...params }]));
      }),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), nearGrammar), (text) => void parseChallenges(text)));
  });
});

describe('Link', () => {
  it('finds the next page among other links', () => {
    expect(
      parseNextLink('</v2/a/tags/list?last=x>; rel="prev", </v2/a/tags/list?n=2&last=b>; title="a, b"; rel="next"'),
    ).toBe('/v2/a/tags/list?n=2&last=b');
    expect(parseNextLink('<https://r.example/v2/a/tags/list?last=1>; rel=next')).toBe(
      'https://r.example/v2/a/tags/list?last=1',
    );
    expect(parseNextLink(['<a>; rel=prev', '<b>; REL="other NEXT"'])).toBe('b');
  });

  it.each(['</v2/a/tags/list?last=b>', "</v2/a/tags/list?last=b>; rel='next'", '/v2/a/tags/list?last=b; rel="next"'])(
    'finds it where its form is not quite right: %s',
    (header) => {
      expect(parseNextLink(header)).toBe('/v2/a/tags/list?last=b');
    },
  );

  it('takes nothing else for it', () => {
    expect(parseNextLink('<a>; rel="nextone"')).toBeUndefined();
    expect(parseNextLink('<a>; rel=prev; rel=next')).toBeUndefined();
    expect(parseNextLink('<a>')).toBeUndefined();
    expect(parseNextLink(undefined)).toBeUndefined();
  });

  it('reads back any target, and never throws', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), (url) => {
        expect(parseNextLink(`<x>; rel=first, <${url}>; rel="next"`)).toBe(url);
      }),
    );
    fc.assert(fc.property(fc.oneof(fc.string(), nearGrammar), (text) => void parseNextLink(text)));
  });
});

describe('Retry-After', () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);

  it('reads seconds and dates', () => {
    expect(parseRetryAfter('120', now)).toBe(now + 120_000);
    expect(parseRetryAfter('0.5', now)).toBe(now + 500);
    expect(parseRetryAfter('Fri, 02 Jan 2026 03:14:05 GMT', now)).toBe(now + 600_000);
    expect(parseRetryAfter(String(now / 1000 + 90), now)).toBe(now + 90_000);
  });

  it('bounds what a registry can ask for', () => {
    expect(parseRetryAfter('999999999', now)).toBe(now + MAX_RETRY_AFTER_MS);
    expect(parseRetryAfter('Fri, 02 Jan 2099 03:14:05 GMT', now)).toBe(now + MAX_RETRY_AFTER_MS);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:00 GMT', now)).toBe(now);
  });

  it('ignores what is neither', () => {
    for (const text of ['', 'soon', '-1', '1e9', 'Fri, 02 Foo 2026 03:14:05 GMT']) {
      expect(parseRetryAfter(text, now), text).toBeUndefined();
    }
  });

  it('is never in the past, nor too far off', () => {
    const text = fc.oneof(
      fc.string(),
      fc.nat().map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    );
    fc.assert(
      fc.property(text, (header) => {
        const at = parseRetryAfter(header, now) ?? now;
        expect(at).toBeGreaterThanOrEqual(now);
        expect(at).toBeLessThanOrEqual(now + MAX_RETRY_AFTER_MS);
      }),
    );
  });
});

describe('Content-Range', () => {
  it('reads positions', () => {
    expect(parseContentRange('bytes 10-19/20')).toEqual({ start: 10, end: 19, total: 20 });
    expect(parseContentRange('bytes 0-0/*')).toEqual({ start: 0, end: 0, total: undefined });
  });

  it('refuses what makes no sense', () => {
    for (const text of ['bytes 5-4/10', 'bytes 0-10/10', 'bytes */10', '0-1/2', 'bytes 0-1']) {
      expect(parseContentRange(text), text).toBeUndefined();
    }
  });
});

describe('Warning', () => {
  it('reads the texts of code 299 only', () => {
    expect(parseWarnings('299 - "old, and \\"gone\\" soon", 299 - "second"')).toEqual([
      'old, and "gone" soon',
      'second',
    ]);
    expect(parseWarnings(['110 - "stale"', '299 agent "x"'])).toEqual([]);
  });
});

describe('redaction', () => {
  it('shows harmless query parameters and no others', () => {
    const url = new URL('https://user:pw@s3.example/blob?X-Amz-Signature=abc&digest=sha256:1#frag');
    expect(redactUrl(url)).toBe('https://s3.example/blob?X-Amz-Signature=…&digest=sha256:1');
  });

  it('cleans what a registry says', () => {
    const text = 'get https://s3.example/b?sig=abc \u001b[31mfailed\r\nfor hunter2\u202e';
    expect(redactText(text, 200, ['hunter2'])).toBe('get https://s3.example/b?sig=… [31mfailed for …');
    expect(redactText('x'.repeat(500), 10)).toBe(`${'x'.repeat(10)}…`);
    expect(redactText(`half \ud83d, ${'🐋'.repeat(9)}`, 10)).toBe('half , 🐋…');
  });

  it('never lets a secret through', () => {
    fc.assert(
      fc.property(fc.string(), fc.stringMatching(/^[A-Za-z0-9]{8,20}$/), fc.string(), (before, secret, after) => {
        expect(redactText(`${before}${secret}${after}`, 1000, [secret])).not.toContain(secret);
      }),
    );
  });
});
