import { type Env, expandEnv } from '../config/expand-env.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { formatRepository, isRepositoryName, parseRepository, type Repository } from '../model/reference.ts';
import type { Destination, Discovery, Rule } from '../model/rule.ts';
import { compilePattern } from './pattern.ts';

/** A place with many repositories: a registry, or a path of one. The path of a registry as a whole is empty. */
export interface Wildcard {
  place: Repository;
  depth: Discovery['depth'];
}

/**
 * Reads `registry/path/*`, the repositories right below a path, or `registry/path/**`, all below it.
 * @returns undefined for a text that ends in neither
 * @throws TranshipError `config-invalid`
 */
export function parseWildcard(text: string): Wildcard | undefined {
  const [, path, stars] = /^(.*)\/(\*\*?)$/.exec(text) ?? [];
  if (path === undefined) return undefined;
  if (path.includes('*')) throw invalid(text, 'a * stands at its end only');
  // With a name in place of the star it is the name of a repository.
  const { registry, repository } = parseRepository(`${path}/x`);
  return {
    place: { registry, repository: repository.slice(0, -1).replace(/\/$/, '') },
    depth: stars === '*' ? 'one' : 'any',
  };
}

/** A place of a rule as it is written: a repository, or many with their stars. */
export function formatPlace(place: Repository, discover: Discovery | undefined): string {
  if (discover === undefined) return formatRepository(place);
  return [place.registry, place.repository, discover.depth === 'any' ? '**' : '*'].filter(Boolean).join('/');
}

/**
 * The destination of a rule for many repositories: `registry/path/*`, whose star stands for what the source's star does.
 * @throws TranshipError `config-invalid`
 */
export function parseWildDestination(text: string, env: Env): Destination {
  const written = expandEnv(text, env);
  const wildcard = parseWildcard(written);
  if (wildcard === undefined) {
    throw invalid(written, 'the source names many repositories, and this is one', `write it as ${written}/*`);
  }
  return wildcard.place;
}

/** The rule for one of the repositories of a rule for many; `path` is what is below the fixed part. */
export function ruleFor({ discover: _, ...rule }: Rule, path: string): Rule {
  return { ...rule, from: below(rule.from, path), to: rule.to.map((place) => below(place, path)) };
}

/** What of a repository's name is below the fixed part of a rule for many; undefined where the rule leaves it out. */
export function pathIn({ from, to, discover }: Rule, { registry, repository }: Repository): string | undefined {
  if (discover === undefined || registry !== from.registry) return undefined;
  const path = pathBelow(from, repository);
  if (path === undefined || !isRepositoryName(path) || !isRepositoryName(repository)) return undefined;
  if (discover.depth === 'one' && path.includes('/')) return undefined;
  // Else the next run would copy what this one has written.
  if (to.some((place) => place.registry === registry && pathBelow(place, repository) !== undefined)) return undefined;
  const fits = discover.match.length === 0 || discover.match.some((pattern) => compilePattern(pattern)(path));
  return fits && !discover.except.some((pattern) => compilePattern(pattern)(path)) ? path : undefined;
}

/** The rules for one repository each by which a rule for many would write to this destination. */
export function rulesInto(rule: Rule, destination: Repository): Rule[] {
  if (rule.discover === undefined) return [rule];
  return rule.to.flatMap((place) => {
    const path = place.registry === destination.registry ? pathBelow(place, destination.repository) : undefined;
    if (path === undefined || pathIn(rule, below(rule.from, path)) === undefined) return [];
    return [ruleFor(rule, path)];
  });
}

function pathBelow({ repository: place }: Repository, repository: string): string | undefined {
  if (place === '') return repository;
  return repository.startsWith(`${place}/`) ? repository.slice(place.length + 1) : undefined;
}

function below({ registry, repository }: Repository, path: string): Repository {
  return { registry, repository: repository === '' ? path : `${repository}/${path}` };
}

function invalid(text: string, what: string, mend?: string) {
  return configurationError(`${quote(text)} cannot be read: ${what}`, { mend });
}
