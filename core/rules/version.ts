import { parse, type SemVer } from 'semver';

/** A tag read as a version. */
export interface TagVersion {
  /** Major, minor and patch, with 0 for what the tag leaves out, and its suffix as the pre-release. */
  version: SemVer;
  /** The tag without its suffix; the tag itself where it has none. */
  base: string;
  hasSuffix: boolean;
}

// `v`, one to three numbers, then a suffix after - or, right after the numbers, Python's a1, b2, rc3. What follows _ is
// build metadata: Helm writes _ for the + that a tag cannot have (helm/helm pkg/registry, semver build metadata).
const versionTag =
  /^([vV]?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?)(?:-([A-Za-z0-9._-]+)|((?:a|b|rc|alpha|beta|dev|pre)\.?\d+))?(?:_[A-Za-z0-9._-]+)?$/;

/**
 * The version that a tag stands for, read with tolerance: `v1.2`, `1.25-alpine`, `2024.01.05`; undefined for other
 * tags.
 */
export function parseVersionTag(tag: string): TagVersion | undefined {
  const match = versionTag.exec(tag);
  if (match === null) return undefined;
  const [, base = '', major = '0', minor = '0', patch = '0', dashed, attached] = match;
  // 7b3 is part of a hash, 3.13b3 is a version.
  if (attached !== undefined && match[3] === undefined) return undefined;
  const suffix = dashed ?? attached;
  const numbers = [major, minor, patch].map(Number).join('.');
  const text = suffix === undefined ? numbers : `${numbers}-${suffix.replaceAll('_', '-')}`;
  const version = parse(text, { loose: true });
  return version === null ? undefined : { version, base, hasSuffix: suffix !== undefined };
}

/** The tags from oldest to newest: those that are no versions first, in natural order, then the versions. */
export function orderByAge(tags: string[]): string[] {
  return tags
    .map((tag) => ({ tag, version: parseVersionTag(tag)?.version }))
    .sort((a, b) => {
      if (a.version !== undefined && b.version !== undefined) {
        return a.version.compare(b.version) || compareNaturally(a.tag, b.tag);
      }
      if (a.version === undefined && b.version === undefined) return compareNaturally(a.tag, b.tag);
      return a.version === undefined ? -1 : 1;
    })
    .map(({ tag }) => tag);
}

/** Byte order, but runs of digits by their value: `r9` before `r10`. */
export function compareNaturally(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const one = left[at] ?? '';
    const other = right[at] ?? '';
    const order = /^\d/.test(one) && /^\d/.test(other) ? compareDigits(one, other) : compareBytes(one, other);
    if (order !== 0) return order;
  }
  return left.length - right.length || compareBytes(a, b);
}

/** Tags are ASCII, so comparing characters compares bytes. */
export function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareDigits(a: string, b: string): number {
  const [one, other] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return one.length - other.length || compareBytes(one, other);
}
