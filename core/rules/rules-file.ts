import type { Env } from '../config/expand-env.ts';
import { type Located, textOf, valueAt } from '../config/located.ts';
import { attempt, placeOf, report, type UserFile, warn } from '../config/problems.ts';
import { findOddCharacter, quote } from '../model/quote.ts';
import { isTag } from '../model/reference.ts';
import type { ReferrerChoice } from '../model/referrer.ts';
import type { Discovery, Pattern, Schedule, TagSelection } from '../model/rule.ts';
import { idFor, parseDestination, selectionOf, uniqueDestinations } from './build-rule.ts';
import { readDeletion } from './deletion.ts';
import { readEndpoints } from './endpoints.ts';
import { parseImageText } from './image-text.ts';
import { looksLikePattern, parsePattern } from './pattern.ts';
import { parsePlatformText } from './platform-text.ts';
import { parsePulls } from './pulls-text.ts';
import { type ReadNamed, readRequirement } from './read-requirement.ts';
import { parseReferrerChoice } from './referrers-text.ts';
import { describeLongJitter, parseSchedule } from './schedule.ts';
import { checkSchema } from './schema.ts';
import { compileFilter } from './select.ts';
import type { PlacedRule } from './warnings.ts';
import { parseWildcard, parseWildDestination } from './wildcard.ts';

const DEFAULT_MAX_REPOSITORIES = 1000;

/** Reads tranship.yaml, the product's own format. What is wrong is noted in `file`. */
export function readRules(file: UserFile, root: Located, options: { env: Env; readNamed?: ReadNamed }): PlacedRule[] {
  if (!checkSchema(file, root)) return [];
  const taken = new Map<string, number>();
  const nodes = itemsOf(valueAt(root, 'rules'));
  for (const node of nodes) {
    const name = valueAt(node, 'name');
    if (name?.kind !== 'scalar') continue;
    const first = taken.get(name.text);
    if (first === undefined) taken.set(name.text, name.offset);
    else {
      const { line } = placeOf(file, first);
      report(file, name.offset, `the name ${quote(name.text)} is there already, on line ${line}`, 'give another');
    }
  }
  const schedules = new Map<string, Schedule>();
  const general = readSchedule(file, valueAt(root, 'schedule'), schedules);
  const endpoints = readEndpoints(file, valueAt(root, 'endpoints'));
  return nodes.flatMap((node) => {
    const own = readSchedule(file, valueAt(node, 'schedule'), schedules);
    const placed = readRule(file, node, { ...options, taken });
    if (placed === undefined) return [];
    const mirrors = endpoints.get(placed.rule.from.registry);
    const rule = mirrors === undefined ? placed.rule : { ...placed.rule, endpoints: mirrors };
    return [{ ...placed, rule, schedule: own ?? general }];
  });
}

/**
 * `schedule:` in its two forms: cron's text, or a map with time zone and jitter.
 * @param known those that were read before: thousands of rules may have the same
 */
function readSchedule(file: UserFile, node: Located | undefined, known: Map<string, Schedule>): Schedule | undefined {
  if (node === undefined) return undefined;
  const written = (key: string): string | undefined => {
    const value = valueAt(node, key);
    return value === undefined ? undefined : textOf(value);
  };
  const text = {
    cron: node.kind === 'map' ? (written('cron') ?? '') : textOf(node),
    timeZone: written('timeZone'),
    jitter: written('jitter'),
  };
  const key = JSON.stringify(text);
  const before = known.get(key);
  if (before !== undefined) return before;
  const { offset } = valueAt(node, 'cron') ?? node;
  const schedule = attempt(file, offset, () => parseSchedule(text));
  if (schedule === undefined) return undefined;
  known.set(key, schedule);
  const odd = describeLongJitter(schedule);
  if (odd !== undefined) warn(file, offset, odd);
  return schedule;
}

function readRule(
  file: UserFile,
  node: Located,
  options: { env: Env; readNamed?: ReadNamed; taken: Map<string, number> },
): PlacedRule | undefined {
  const fromNode = valueAt(node, 'from');
  if (fromNode?.kind !== 'scalar') return undefined;
  const wildcard = attempt(file, fromNode.offset, () => parseWildcard(fromNode.text));
  const image = attempt(file, fromNode.offset, () =>
    wildcard === undefined ? parseImageText(fromNode.text) : { repository: wildcard.place },
  );
  const tags = valueAt(node, 'tags');
  if (tags !== undefined && image !== undefined && (image.tags ?? image.digest ?? image.regex) !== undefined) {
    report(file, tags.offset, 'the rule says both in from and in tags what to take', 'keep one of the two');
    return undefined;
  }
  const chosen =
    tags === undefined ? image && attempt(file, fromNode.offset, () => selectionOf(image)) : readTags(file, tags);
  const platforms = itemsOf(valueAt(node, 'platforms')).flatMap(
    (item) => attempt(file, item.offset, () => parsePlatformText('platforms', textOf(item))) ?? [],
  );
  const referrers = readReferrers(file, valueAt(node, 'referrers'));
  const required = readRequirement(file, valueAt(node, 'require'), options.readNamed);
  const pullsNode = valueAt(node, 'pulls');
  const pulls = pullsNode && attempt(file, pullsNode.offset, () => parsePulls(textOf(pullsNode)));
  if (image === undefined || chosen === undefined) return undefined;
  const to = itemsOf(valueAt(node, 'to')).flatMap(
    (item) =>
      attempt(file, item.offset, () =>
        wildcard === undefined
          ? parseDestination(textOf(item), { repository: image.repository, ...chosen }, { ...options, fallback: {} })
          : [parseWildDestination(textOf(item), options.env)],
      ) ?? [],
  );
  const name = valueAt(node, 'name');
  const id = name === undefined ? idFor(fromNode.text, options.taken) : textOf(name);
  if (name === undefined) options.taken.set(id, fromNode.offset);
  const discover = readDiscovery(file, valueAt(node, 'repositories'), wildcard?.depth);
  const deletion = readDeletion(file, valueAt(node, 'delete'), chosen.select);
  return {
    offset: fromNode.offset,
    idleTag: image.idleTag,
    rule: {
      id,
      from: image.repository,
      select: chosen.select,
      to: uniqueDestinations(to),
      platforms: { platforms: [...new Set(platforms)], os: [], arch: [] },
      ...(referrers && { referrers }),
      ...(required && { require: required }),
      ...(pulls !== undefined && { pulls }),
      ...(deletion !== undefined && { delete: deletion }),
      ...(discover !== undefined && { discover }),
    },
  };
}

/** @param depth of the source; undefined where it is one repository */
function readDiscovery(
  file: UserFile,
  node: Located | undefined,
  depth: Discovery['depth'] | undefined,
): Discovery | undefined {
  if (depth === undefined) {
    if (node !== undefined) report(file, node.offset, 'the source is one repository', 'end it with /* or /**');
    return undefined;
  }
  const patterns = (key: string): Pattern[] =>
    itemsOf(node && valueAt(node, key)).flatMap(
      (item) => attempt(file, item.offset, () => parsePattern(textOf(item))) ?? [],
    );
  const max = node && valueAt(node, 'max');
  return {
    depth,
    match: patterns('match'),
    except: patterns('except'),
    max: max === undefined ? DEFAULT_MAX_REPOSITORIES : Number(textOf(max)),
  };
}

/** `referrers:` in its forms: one word or type, a list, a map. */
function readReferrers(file: UserFile, node: Located | undefined): ReferrerChoice | undefined {
  if (node === undefined) return undefined;
  const types = node.kind === 'map' ? valueAt(node, 'types') : node;
  const recheck = node.kind === 'map' ? valueAt(node, 'recheck') : undefined;
  return attempt(file, (types ?? node).offset, () =>
    parseReferrerChoice(types && itemsOf(types).map(textOf), recheck && textOf(recheck)),
  );
}

/** `tags:` in its three forms: one text, a list, a map of conditions. */
function readTags(file: UserFile, node: Located): { select: TagSelection; listed?: string[] } | undefined {
  if (node.kind !== 'map') {
    const items = itemsOf(node);
    return items.some((item) => looksLikePattern(textOf(item)))
      ? readFilter(file, node, { match: items, except: [] })
      : readTagList(file, items);
  }
  const newest = valueAt(node, 'newest');
  const range = valueAt(node, 'semver');
  return readFilter(file, node, {
    match: itemsOf(valueAt(node, 'match')),
    except: itemsOf(valueAt(node, 'except')),
    ...(range !== undefined && { semver: textOf(range) }),
    ...(newest !== undefined && { newest: Number(textOf(newest)) }),
  });
}

function readTagList(file: UserFile, items: Located[]): { select: TagSelection; listed: string[] } {
  const listed = items.map((item) => {
    const text = textOf(item);
    const odd = findOddCharacter(text);
    if (odd !== undefined) report(file, item.offset, `${quote(text)} is not a tag: it has ${odd.name} in it`, odd.mend);
    else if (!isTag(text)) report(file, item.offset, `${quote(text)} is not a tag`, 'list several tags as a YAML list');
    return text;
  });
  return { select: { kind: 'tags', tags: [...new Set(listed)] }, listed };
}

function readFilter(
  file: UserFile,
  node: Located,
  filter: { match: Located[]; except: Located[]; semver?: string; newest?: number },
): { select: TagSelection } | undefined {
  const patterns = (items: Located[]): Pattern[] =>
    items.flatMap((item) => attempt(file, item.offset, () => parsePattern(textOf(item))) ?? []);
  const select = { ...filter, kind: 'filter' as const, match: patterns(filter.match), except: patterns(filter.except) };
  const range = valueAt(node, 'semver');
  return attempt(file, range?.offset ?? node.offset, () => {
    compileFilter(select);
    return { select };
  });
}

/** A list's items; a single value stands for a list of one. */
function itemsOf(node: Located | undefined): Located[] {
  if (node === undefined) return [];
  return node.kind === 'list' ? node.items : [node];
}
