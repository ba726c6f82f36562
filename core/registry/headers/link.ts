/** Longest `Link` header that is read. */
const MAX_LENGTH = 16 * 1024;

const bareEntry = /^[ \t]*([^ \t;,]+\?[^ \t;,]+)[ \t]*(?:;[ \t]*rel=["']?next["']?[ \t]*)?$/i;
const entryAt = /[ \t,]*<([^<>]*)>/y;
const paramAt = /[ \t]*;[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^ \t;,"]*))?/y;

/**
 * The target of the first link to the next page, as written: a relative or an absolute reference. Never throws.
 *
 * A link without `rel` is taken for one, and so is a target without `<>`: containers/image and go-containerregistry
 * read nothing else of the header, and a page that is left out is missed by nobody.
 * @see RFC 8288 section 3; distribution spec, "Listing Tags"
 */
export function parseNextLink(header: string | string[] | undefined): string | undefined {
  for (const text of typeof header === 'string' ? [header] : (header ?? [])) {
    if (text.length > MAX_LENGTH) continue;
    let at = 0;
    if (!text.includes('<')) {
      const bare = bareEntry.exec(text);
      if (bare?.[1] !== undefined) return bare[1];
    }
    for (;;) {
      entryAt.lastIndex = at;
      const entry = entryAt.exec(text);
      if (entry === null) break;
      at = entryAt.lastIndex;
      let rel: string | undefined;
      for (;;) {
        paramAt.lastIndex = at;
        const param = paramAt.exec(text);
        if (param === null) break;
        at = paramAt.lastIndex;
        // RFC 8288: a second `rel` is ignored.
        if (param[1]?.toLowerCase() === 'rel') rel ??= unquote(param[2] ?? '');
      }
      const target = entry[1]?.trim();
      const relations = rel?.toLowerCase().split(/[ \t]+/) ?? (target?.includes('?') ? ['next'] : []);
      if (target && relations.includes('next')) return target;
    }
  }
  return undefined;
}

function unquote(value: string): string {
  if (value.startsWith("'")) return value.replaceAll("'", '');
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
}
