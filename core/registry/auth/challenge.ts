/** One challenge of a `WWW-Authenticate` header. Scheme and parameter names in lower case. */
export interface Challenge {
  scheme: string;
  /** The first value where a name is given twice. */
  params: ReadonlyMap<string, string>;
}

/** Longest header that is read; a challenge with the scopes of a dozen repositories is shorter. */
const MAX_LENGTH = 16 * 1024;

const tokenAt = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const token68At = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
/** Values should be tokens or quoted; `realm=/` and `realm=https://…` come too (regclient/regclient#265). */
const bareValueAt = /'[^']*'|[^ \t,"]+/y;
const blanksAt = /[ \t]*/y;
const commasAt = /[ \t,]*/y;

/**
 * Reads one or more `WWW-Authenticate` headers. What is not a challenge ends the reading; what was read before it
 * stays. Never throws.
 *
 * @param header the header's value, or its values where it came more than once
 * @see RFC 9110 section 11.6.1; commas divide both challenges and parameters, and stand inside quoted scopes
 */
export function parseChallenges(header: string | string[] | undefined): Challenge[] {
  return (typeof header === 'string' ? [header] : (header ?? [])).flatMap(parseOne);
}

function parseOne(text: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (text.length > MAX_LENGTH) return challenges;
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    return match[0];
  };

  take(commasAt);
  while (at < text.length) {
    const scheme = take(tokenAt);
    if (scheme === undefined) return challenges;
    const params = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), params });
    const gap = take(blanksAt);
    if (gap !== '' && take(token68At) === undefined) {
      while (at < text.length) {
        const before = at;
        const param = takeParam();
        if (param === 'invalid') return challenges;
        if (param === undefined) {
          at = before;
          break;
        }
        if (!params.has(param.name)) params.set(param.name, param.value);
        take(commasAt);
      }
    }
    const boundary = at;
    take(commasAt);
    // Neither the end nor a comma: the rest is not valid.
    if (at < text.length && at === boundary && !/[ \t,]/.test(text[at - 1] ?? '')) return challenges;
  }
  return challenges;

  /** `name = value`; undefined where the next word is no parameter, so that it is the next scheme. */
  function takeParam(): { name: string; value: string } | 'invalid' | undefined {
    take(commasAt);
    const name = take(tokenAt);
    if (name === undefined) return at < text.length ? 'invalid' : undefined;
    take(blanksAt);
    if (text[at] !== '=') return undefined;
    at += 1;
    take(blanksAt);
    const value = text[at] === '"' ? takeQuoted() : unquoteSingle(take(bareValueAt));
    return value === undefined ? 'invalid' : { name: name.toLowerCase(), value };
  }

  function unquoteSingle(value: string | undefined): string | undefined {
    return value?.startsWith("'") ? value.slice(1, -1) : value;
  }

  /** quoted-string (RFC 9110 section 5.6.4), without its quotes and backslashes. */
  function takeQuoted(): string | undefined {
    let value = '';
    for (at += 1; at < text.length; at += 1) {
      const char = text[at];
      if (char === '"') {
        at += 1;
        return value;
      }
      if (char === '\\') at += 1;
      value += text[at] ?? '';
    }
    return undefined;
  }
}

/** The challenge that asks for a token, where a header has one. */
export function bearerChallenge(header: string | string[] | undefined): Challenge | undefined {
  return parseChallenges(header).find(({ scheme, params }) => scheme === 'bearer' && params.get('realm'));
}

/** A scope that a challenge asks for, where it is one (distribution's docs, "Token Scope Documentation"). */
export function scopeOf(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= 2048 && /^[\x21\x23-\x5b\x5d-\x7e ]+$/.test(text) ? text : undefined;
}
