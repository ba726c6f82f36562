import { createHash } from 'node:crypto';
import { type Env, expandEnv } from '../config/expand-env.ts';
import { configurationError, type TranshipError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { formatRepository, parseRepository, type Repository } from '../model/reference.ts';
import type { Destination, TagSelection } from '../model/rule.ts';
import { type ImageText, parseImageText } from './image-text.ts';
import { compilePattern } from './pattern.ts';

/** Where an empty destination leads: image-syncer's `--registry` and `--namespace`. */
export interface DefaultDestination {
  registry?: string;
  namespace?: string;
}

/** Longest id: it is part of keys and of log lines. */
const maxIdLength = 200;

/** The selection that a source's own text makes, with the tags as listed (duplicates kept) where it lists some. */
export function selectionOf(source: ImageText): { select: TagSelection; listed?: string[] } {
  if (source.digest !== undefined) return { select: { kind: 'digest', digest: source.digest } };
  if (source.tags !== undefined) {
    return { select: { kind: 'tags', tags: [...new Set(source.tags)] }, listed: source.tags };
  }
  if (source.regex === undefined) return { select: { kind: 'all' } };
  const pattern = { kind: 'regex', text: source.regex } as const;
  compilePattern(pattern);
  return { select: { kind: 'filter', match: [pattern], except: [] } };
}

/** A host with a dot, an address or `localhost`, with a port or without, and nothing behind it. */
const registryAlone = /^(?:localhost|\[[0-9a-f:.]+\]|[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::\d+)?$/i;

/**
 * The destinations that one written destination stands for: one, or several where a source tag is listed more than once
 * under different new names.
 *
 * How many tags `all` and a `filter` take is known only when the rule is expanded; there the planner compares the
 * counts.
 *
 * @param text the destination as written; empty for `fallback`
 * @throws TranshipError `config-invalid`
 */
export function parseDestination(
  text: string,
  source: { repository: Repository; select: TagSelection; listed?: string[] },
  options: { env: Env; fallback: DefaultDestination },
): Destination[] {
  const written = text === '' ? defaultDestination(source.repository, options.fallback) : expandEnv(text, options.env);
  // Docker would read it as an image of its Hub's library, with the port as tag; nobody can push there.
  if (registryAlone.test(written)) {
    throw invalid(written, 'it names a registry and no repository', `write it as ${written}/name`);
  }
  const image = parseImageText(written);
  if (image.regex !== undefined) {
    throw invalid(written, 'a destination cannot be a regular expression', 'leave it out: tags keep their names');
  }
  const { repository, tags, digest } = image;
  if (digest !== undefined) {
    if (source.select.kind !== 'digest') {
      throw invalid(written, 'it has a digest where the source has none', 'name the digest at the source');
    }
    if (source.select.digest !== digest) throw invalid(written, 'its digest is not that of the source');
    return [{ ...repository, digest }];
  }
  if (tags === undefined) return [repository];
  const wanted = source.select.kind === 'digest' ? 1 : source.listed?.length;
  if (wanted !== undefined && tags.length !== wanted) {
    throw invalid(
      written,
      `it has ${countOf(tags.length, 'tag')} where the source has ${countOf(wanted, 'tag')}`,
      'give as many tags as the source, in the same order, or none to keep the names',
    );
  }
  return renamings(source, tags).map((names) => ({ ...repository, tags: names }));
}

/** One list of new names, in the order of the source's distinct tags, per time that a tag is listed again. */
function renamings(source: { select: TagSelection; listed?: string[] }, tags: string[]): string[][] {
  if (source.select.kind !== 'tags' || source.listed === undefined) return [tags];
  const names = new Map<string, string[]>();
  source.listed.forEach((tag, at) => {
    names.set(tag, [...(names.get(tag) ?? []), tags[at] ?? tag]);
  });
  const rounds = Math.max(...[...names.values()].map((list) => list.length));
  return Array.from({ length: rounds }, (_, round) => [...names.values()].map((list) => list[round] ?? list[0] ?? ''));
}

/** The destinations without those that say the same as an earlier one. */
export function uniqueDestinations(destinations: Destination[]): Destination[] {
  const byText = new Map(
    destinations.map((to) => [`${formatRepository(to)}:${to.tags?.join(',') ?? ''}@${to.digest ?? ''}`, to]),
  );
  return [...byText.values()];
}

/**
 * An id for a rule without a name, unique among `taken`: its source's text, cut with a hash of the whole where it is
 * long.
 */
export function idFor(text: string, taken: { has(id: string): boolean }): string {
  const id = text.length <= maxIdLength ? text : `${text.slice(0, maxIdLength - 13)}~${shortHash(text)}`;
  if (!taken.has(id)) return id;
  let number = 2;
  while (taken.has(`${id} #${number}`)) number += 1;
  return `${id} #${number}`;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function defaultDestination(source: Repository, { registry, namespace }: DefaultDestination): string {
  if (registry === undefined || registry === '') {
    throw configurationError('the destination is empty', {
      mend: 'write one, or give --registry and --namespace for a default',
    });
  }
  const name = source.repository.slice(source.repository.lastIndexOf('/') + 1);
  const text = [registry, namespace ?? '', name]
    .map((part) => part.replace(/^\/+|\/+$/g, ''))
    .filter(Boolean)
    .join('/');
  return formatRepository(parseRepository(text));
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function invalid(text: string, what: string, mend?: string): TranshipError {
  return configurationError(`the destination ${quote(text)} does not fit: ${what}`, { mend });
}
