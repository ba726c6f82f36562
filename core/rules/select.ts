import { Range } from 'semver';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { isTag } from '../model/reference.ts';
import { isReferrerTag } from '../model/referrer.ts';
import type { Pattern, TagSelection } from '../model/rule.ts';
import { compilePattern } from './pattern.ts';
import { compareBytes, orderByAge, parseVersionTag } from './version.ts';

type Filter = Extract<TagSelection, { kind: 'filter' }>;
type Test = (tag: string) => boolean;

/** Compiled once for each selection, however many tags it is asked about. */
const compiled = new WeakMap<Filter, (tag: string) => Refusal | undefined>();

/** Why a filter does not take a tag, `newest` aside. */
export type Refusal =
  | { kind: 'matches-nothing' }
  | { kind: 'excepted'; pattern: Pattern }
  | { kind: 'outside-range'; range: string };

/**
 * The tags that a rule takes out of all tags of its source repository.
 *
 * - `all` and `filter`: those of `tagNames` that fit, each once, in byte order. Names that are no tags (registries list
 *   digests and `null` among them) are left out, and so are tags of signatures, which come along with their image.
 * - `tags`: the listed ones in the rule's order, whether or not the repository has them: one that is missing must fail,
 *   not vanish.
 * - `digest`: none.
 *
 * The result depends on the set of names only, not on their order.
 * @throws TranshipError `config-invalid` where a pattern or range of the selection cannot be compiled
 */
export function selectTags(selection: TagSelection, tagNames: Iterable<string>): string[] {
  if (selection.kind === 'tags') return [...selection.tags];
  if (selection.kind === 'digest') return [];
  const fits: Test = selection.kind === 'all' ? () => true : compileFilter(selection);
  const taken = [...new Set(tagNames)].filter((tag) => isTag(tag) && fits(tag) && !comesAlong(selection, tag));
  const newest = selection.kind === 'filter' ? selection.newest : undefined;
  const kept = newest === undefined ? taken : orderByAge(taken).slice(-newest);
  return kept.sort(compareBytes);
}

/**
 * Whether a rule may take this tag, as far as one tag can tell: for `newest` it takes the whole list to know, so a tag
 * that passes everything else is taken for a candidate.
 * @throws TranshipError `config-invalid` where a pattern or range of the selection cannot be compiled
 */
export function matchesTag(selection: TagSelection, tag: string): boolean {
  switch (selection.kind) {
    case 'all':
      return isTag(tag) && !comesAlong(selection, tag);
    case 'tags':
      return selection.tags.includes(tag);
    case 'digest':
      return false;
    case 'filter':
      return isTag(tag) && compileFilter(selection)(tag) && !comesAlong(selection, tag);
  }
}

/** A pattern that is made for tags of signatures. */
const asksForReferrers = /sha(?:256|512)|\.(?:sig|att|sbom)/;

/**
 * Whether a tag is that of a signature, an attestation, an SBOM or an index of those: it comes along with the image that
 * it speaks of, and is no image itself. A pattern may ask for such tags all the same.
 */
function comesAlong(selection: TagSelection, tag: string): boolean {
  if (!isReferrerTag(tag)) return false;
  return selection.kind !== 'filter' || !selection.match.some(({ text }) => asksForReferrers.test(text));
}

/**
 * The test of a filter, `newest` aside.
 * @throws TranshipError `config-invalid`
 */
export function compileFilter(filter: Filter): Test {
  const refuse = compileRefusals(filter);
  return (tag) => refuse(tag) === undefined;
}

/**
 * The first condition of a filter that a tag does not meet, or undefined where it meets all but `newest`.
 * @throws TranshipError `config-invalid`
 */
export function compileRefusals(filter: Filter): (tag: string) => Refusal | undefined {
  const known = compiled.get(filter);
  if (known !== undefined) return known;
  const match = filter.match.map(compilePattern);
  const except = filter.except.map((pattern) => ({
    fits: compilePattern(pattern),
    refusal: { kind: 'excepted', pattern } as const,
  }));
  const range = filter.semver === undefined ? undefined : compileRange(filter.semver, match);
  const matchesNothing = { kind: 'matches-nothing' } as const;
  const outsideRange = { kind: 'outside-range', range: filter.semver ?? '' } as const;
  const refuse = (tag: string): Refusal | undefined => {
    if (match.length > 0 && !match.some((fits) => fits(tag))) return matchesNothing;
    const excepted = except.find(({ fits }) => fits(tag));
    if (excepted !== undefined) return excepted.refusal;
    return range === undefined || range(tag) ? undefined : outsideRange;
  };
  compiled.set(filter, refuse);
  return refuse;
}

/**
 * npm's ranges over tags. A suffix (`1.25-rc1`, `1.25-alpine`) makes a pre-release, which a range takes only where it
 * names one itself. But where a `match` pattern asks for the suffix (it fits the tag and not the tag without it, as
 * `*-alpine` does), the suffix tells a variant, and the range looks at the numbers alone.
 */
function compileRange(text: string, match: Test[]): Test {
  const range = parseRange(text);
  return (tag) => {
    const read = parseVersionTag(tag);
    if (read === undefined) return false;
    const asked = read.hasSuffix && match.some((fits) => fits(tag) && !fits(read.base));
    const { major, minor, patch } = read.version;
    return range.test(asked ? `${major}.${minor}.${patch}` : read.version);
  };
}

function parseRange(text: string): Range {
  try {
    return new Range(asNpm(text));
  } catch {
    const mend = 'write it as npm does: ">=1.24 <2", "1.x", "~1.4 || ^2.1"';
    throw configurationError(`${quote(text)} is not a range of versions`, {
      mend: text.includes('!=') ? `${mend}; leave tags out with \`except\`` : mend,
    });
  }
}

/** Helm, skopeo and Cargo write `>=1.24, <2` and `>=1.24-0`, which npm does not know and which can mean only one thing. */
function asNpm(text: string): string {
  return text
    .replace(/\s*,\s*(?=[<>=~^])/g, ' ')
    .replace(/([<>=~^]\s*v?)(\d+)(\.\d+)?-(?=[0-9A-Za-z])/g, (_, sign: string, major: string, minor = '.0') => {
      return `${sign}${major}${minor}.0-`;
    });
}
