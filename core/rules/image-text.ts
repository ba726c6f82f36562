import { configurationError, type TranshipError } from '../model/errors.ts';
import { findOddCharacter, quote } from '../model/quote.ts';
import {
  type Digest,
  isDigest,
  isLocalPlace,
  isTag,
  parseReference,
  parseRepository,
  type Repository,
} from '../model/reference.ts';

/** What an image of a rules file says beside its repository. */
export interface ImageText {
  repository: Repository;
  /** In the written order, duplicates kept: positions matter where tags are renamed. */
  tags?: string[];
  digest?: Digest;
  /** Between the slashes of `:/…/`. */
  regex?: string;
  /** A tag written beside a digest, which therefore says nothing. */
  idleTag?: string;
}

/**
 * What people copy from a browser or from skopeo. `nginx://`, with nothing behind, is an expression that all tags fit.
 */
const url = /^(?:https?|docker|oci|ocidir|file):\/\/[^/]/i;

/** Most tags that one rule may list: its text travels in messages of bounded size. */
const maxTags = 10_000;

/**
 * Reads an image of image-syncer's images file: a reference whose tag part may be a comma list, or a regular expression
 * between slashes. A blank after a comma is allowed.
 *
 * @throws TranshipError `config-invalid`
 * @see https://github.com/AliyunContainerService/image-syncer pkg/utils/url.go, GenerateRepoURLs
 */
export function parseImageText(text: string): ImageText {
  const isExpression = !url.test(text) && !(isLocalPlace(text) && !text.endsWith('/'));
  const expression = isExpression ? text.indexOf(':/') : -1;
  if (expression !== -1) {
    const rest = text.slice(expression + 2);
    if (!rest.endsWith('/')) throw invalid(text, 'its regular expression has no / at the end', 'write it as :/…/');
    return { repository: parseRepository(text.slice(0, expression)), regex: rest.slice(0, -1) };
  }
  if (text.includes(',')) return parseTagList(text);
  const { registry, repository, tag, digest } = parseReference(text);
  const name = { registry, repository };
  if (digest !== undefined) return { repository: name, digest, idleTag: tag };
  return tag === undefined ? { repository: name } : { repository: name, tags: [tag] };
}

function parseTagList(text: string): ImageText {
  const odd = findOddCharacter(text);
  if (odd !== undefined) throw invalid(text, `it has ${odd.name} in it`, odd.mend);
  const [first = '', ...others] = text.split(',');
  const { registry, repository, tag, digest } = parseReference(first.trimEnd());
  if (digest !== undefined || others.some((item) => isDigest(item.trim()))) {
    throw invalid(text, 'a digest cannot be one of a list', 'give each digest a rule of its own');
  }
  if (tag === undefined) throw invalid(text, 'there is no tag before the comma', 'write repository:tag1,tag2');
  const tags = [tag, ...others.map((item) => item.trim())];
  if (tags.length > maxTags) throw invalid(text, `it lists more than ${maxTags} tags`);
  const bad = tags.find((item) => !isTag(item));
  if (bad === '') throw invalid(text, 'there is nothing between two commas, or after the last', 'take the comma out');
  if (bad !== undefined) throw invalid(text, `${quote(bad)} is not a tag`);
  return { repository: { registry, repository }, tags };
}

function invalid(text: string, what: string, mend?: string): TranshipError {
  return configurationError(`${quote(text)} cannot be read: ${what}`, { mend });
}
