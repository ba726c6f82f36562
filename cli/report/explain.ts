import type { Failure } from '../../core/model/errors.ts';
import { defaultReferrers } from '../../core/model/referrer.ts';
import type { SignatureRequirement } from '../../core/model/requirement.ts';
import type {
  DeletionPolicy,
  Destination,
  Pattern,
  PlatformFilter,
  Rule,
  Schedule,
  TagSelection,
} from '../../core/model/rule.ts';
import type { Explanation, LeftOutReason } from '../../core/rules/explain.ts';
import { formatPlace } from '../../core/rules/wildcard.ts';
import { createPaint } from '../view/color.ts';
import { formatCount, formatDuration, plural } from '../view/format.ts';
import { clean } from '../view/text.ts';
import { pad, wrap } from '../view/width.ts';
import { failureLines } from './tags.ts';

/** Tags shown of each kind, unless all are asked for. */
const HANDFUL = 8;
const indent = 10;

/** A rule in words, then what it makes of the tags that are there. */
export function renderExplanation(
  explained: { rule: Rule } & ({ explanation: Explanation } | { failure: Failure }),
  options: {
    schedule: Schedule | undefined;
    /** All tags, not a handful of each kind. */
    all: boolean;
    color: boolean;
    columns: number | undefined;
  },
): string {
  const { rule } = explained;
  const { schedule, all, columns } = options;
  const paint = createPaint(options.color);
  const width = columns === undefined ? Number.POSITIVE_INFINITY : Math.max(30, columns - indent);
  const row = (head: string, text: string) =>
    wrap(text, width).map((line, at) => `  ${pad(at === 0 ? head : '', indent - 2)}${line}`);
  const shown = (tags: string[]) =>
    `${tags.slice(0, all ? tags.length : HANDFUL).join(', ')}${!all && tags.length > HANDFUL ? ', ...' : ''}`;
  const platforms = describePlatforms(rule.platforms);
  const lines = [
    paint('bold', `rule ${clean(rule.id)}`),
    ...row('takes', describeSelection(rule.select)),
    ...row('from', formatPlace(rule.from, rule.discover)),
    ...rule.to.flatMap((to, at) => row(at === 0 ? 'to' : '', describeDestination(to, rule.discover))),
    ...(platforms === undefined ? [] : row('only', platforms)),
    ...describeTerms(rule).flatMap(([head, text]) => row(head, text)),
    ...(schedule === undefined ? [] : row('when', describeSchedule(schedule))),
  ];
  if ('failure' in explained) {
    const head = paint('red', `  ${pad('failed', indent - 2)}`);
    return `${[...lines, `${head}its tags could not be read`, ...failureLines(explained.failure, { paint, columns, now: 0 }, indent)].join('\n')}\n`;
  }
  const { taken, leftOut, missing } = explained.explanation;
  const count = (tags: unknown[]) => formatCount(tags.length);
  if (taken.length > 0) lines.push(...row(paint('green', 'in'), `${count(taken)}: ${shown(taken)}`));
  for (const [reason, tags] of byReason(leftOut)) {
    lines.push(...row(paint('yellow', 'out'), `${count(tags)} ${reason}: ${shown(tags)}`));
  }
  if (missing.length > 0)
    lines.push(...row(paint('red', 'missing'), `${count(missing)} not at the source: ${shown(missing)}`));
  if (rule.select.kind === 'digest') return `${lines.join('\n')}\n`;
  const total = taken.length + leftOut.length;
  lines.push(`  ${formatCount(taken.length)} of ${plural(total, 'tag')} taken.`);
  return `${lines.join('\n')}\n`;
}

function byReason(leftOut: Explanation['leftOut']): Map<string, string[]> {
  const tags = new Map<string, string[]>();
  for (const { tag, reason } of leftOut) {
    const text = describeReason(reason);
    const group = tags.get(text);
    if (group === undefined) tags.set(text, [tag]);
    else group.push(tag);
  }
  return tags;
}

/** Why tags are left out, as after `12`. */
export function describeReason(reason: LeftOutReason): string {
  switch (reason.kind) {
    case 'matches-nothing':
      return 'not matched';
    case 'excepted':
      return `left out by ${describePattern(reason.pattern)}`;
    case 'outside-range':
      return `not in the range ${clean(reason.range)}`;
    case 'older':
      return `older than the newest ${formatCount(reason.newest)}`;
    case 'not-listed':
      return 'not listed';
  }
}

function describeSelection(select: TagSelection): string {
  switch (select.kind) {
    case 'all':
      return 'all tags';
    case 'tags':
      return `the ${select.tags.length === 1 ? 'tag' : 'tags'} ${select.tags.slice(0, HANDFUL).join(', ')}${select.tags.length > HANDFUL ? `, and ${formatCount(select.tags.length - HANDFUL)} more` : ''}`;
    case 'digest':
      return `the image ${select.digest}`;
    case 'filter':
      return describeFilter(select);
  }
}

function describeFilter({ match, except, semver, newest }: Extract<TagSelection, { kind: 'filter' }>): string {
  const list = (patterns: Pattern[]) => patterns.map(describePattern).join(' or ');
  const conditions = [
    match.length > 0 && `match ${list(match)}`,
    except.length > 0 && `do not match ${list(except)}`,
    semver !== undefined && `are versions in ${clean(semver)}`,
  ].filter((text) => text !== false);
  const those = conditions.length === 0 ? 'all tags' : `tags that ${conditions.join(', and ')}`;
  return newest === undefined ? those : `the newest ${formatCount(newest)} of ${those}`;
}

function describePattern({ kind, text }: Pattern): string {
  return clean(kind === 'regex' ? `/${text}/` : text);
}

function describeDestination(to: Destination, discover: Rule['discover']): string {
  const name = formatPlace(to, discover && { ...discover, depth: 'one' });
  return to.tags === undefined
    ? name
    : `${name}, where the tags are called ${to.tags.slice(0, HANDFUL).join(', ')}${to.tags.length > HANDFUL ? ', ...' : ''}`;
}

/** What the rule says besides, each with its head. */
function describeTerms({ referrers = defaultReferrers, require, endpoints, pulls, delete: deletion }: Rule) {
  const terms: Array<[head: string, text: string]> = [];
  const kinds = referrers.types.map(clean).join(', ');
  terms.push(['with', kinds === '' ? 'nothing that refers to the images' : `their ${kinds}`]);
  if (require !== undefined) terms.push(['signed', describeRequirement(require)]);
  if (endpoints !== undefined) {
    const mirrors = endpoints.map(({ registry, path }) => (path === '' ? registry : `${registry}/${path}`));
    terms.push(['by way', `of ${mirrors.join(', then ')}, then of the source itself`]);
  }
  if (pulls !== undefined) {
    terms.push(['pulls', `at most ${plural(pulls.pulls, 'pull')} in ${formatDuration(pulls.windowMs)}`]);
  }
  if (deletion !== undefined) terms.push(['deletes', describeDeletion(deletion)]);
  return terms;
}

function describeRequirement({ keys, identities }: SignatureRequirement): string {
  const signers = [
    ...(keys.length > 0 ? [`one of ${plural(keys.length, 'key')}`] : []),
    ...identities.map(({ identity, issuer }) => `${clean(identity)} by ${clean(issuer)}`),
  ];
  return `images only that are signed by ${signers.join(', or ')}`;
}

function describeDeletion({ tags, max, keep, olderThanMs }: DeletionPolicy): string {
  const what = tags === 'mirror' ? 'are gone at the source' : 'are gone at the source, or are not taken any more';
  const most = 'percent' in max ? `${max.percent} % of them` : plural(max.count, 'tag');
  const limits = [
    `at most ${most} a day`,
    ...(keep === undefined ? [] : [`never the newest ${formatCount(keep)}`]),
    ...(olderThanMs === undefined ? [] : [`none younger than ${formatDuration(olderThanMs)}`]),
  ];
  return `tags that it copied and that ${what}; ${limits.join(', ')}`;
}

function describePlatforms({ platforms, os, arch }: PlatformFilter): string | undefined {
  const all = [...platforms, ...os, ...arch];
  return all.length === 0
    ? undefined
    : `the platforms ${all.map(clean).join(', ')}; nothing of an image that has none of them`;
}

function describeSchedule({ cron, timeZone, jitterMs }: Schedule): string {
  const zone = timeZone === undefined ? '' : ` in ${timeZone}`;
  return `${cron}${zone}${jitterMs > 0 ? `, up to ${formatDuration(jitterMs)} later` : ''}, under tranship serve`;
}
