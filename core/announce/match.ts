import { wantedSuffixes } from '../copy/referrer-types.ts';
import { type Digest, formatRepository, type Repository, type Target } from '../model/reference.ts';
import { defaultReferrers, isReferrerTag, subjectOfTag } from '../model/referrer.ts';
import type { Destination, Rule } from '../model/rule.ts';
import type { PlanMessage, Task } from '../pipeline/ports/queue.ts';
import { oneNameOf } from '../registry/ecr-host.ts';
import { matchesTag } from '../rules/select.ts';
import { pathIn, ruleFor } from '../rules/wildcard.ts';
import type { Announcement, IgnoredReason } from './announcement.ts';
import type { DialectName } from './dialect-name.ts';
import { isOwnPush } from './filter.ts';

/** Rules by what they copy from, so that an event among 10,000 rules costs two look-ups. */
export interface RuleIndex {
  /** By `registry/repository`; registries by their one name. */
  bySource: ReadonlyMap<string, readonly Rule[]>;
  /** By the repository alone: for a sender that calls its registry by another name than the rules do. */
  byRepository: ReadonlyMap<string, readonly Rule[]>;
  /** Rules for many repositories, by their registry. */
  forMany: ReadonlyMap<string, readonly Rule[]>;
}

export function indexRules(rules: readonly Rule[]): RuleIndex {
  const single = rules.filter(({ discover }) => discover === undefined);
  const many = rules.filter(({ discover }) => discover !== undefined);
  return {
    bySource: Map.groupBy(single, ({ from }) => sourceKey(from)),
    byRepository: Map.groupBy(single, ({ from }) => from.repository),
    forMany: Map.groupBy(many, ({ from }) => oneNameOf(from.registry)),
  };
}

function sourceKey({ registry, repository }: Repository): string {
  return formatRepository({ registry: oneNameOf(registry), repository });
}

export interface MatchOptions {
  runId: string;
  /** Epoch ms. */
  now: number;
  /** Epoch ms until which tags may not be what was announced yet. */
  settleUntil: number;
}

/** Which rule is to be planned, or one repository of a rule for many; or the deletions alone. */
export type RulePlan = Pick<PlanMessage, 'ruleId' | 'repository' | 'deletions'>;

/** What one announcement leads to. */
export type Match =
  /** `replan`: what one tag cannot decide, so that rules must be planned anew. */
  { kind: 'work'; tasks: Task[]; replan: RulePlan[] } | { kind: 'ignored'; reason: IgnoredReason; mend?: string };

/**
 * Finds the rules whose source was announced, and makes a task for each, with all its destinations.
 *
 * @throws TranshipError `config-invalid` where a pattern of a rule cannot be compiled
 */
export function matchAnnouncement(announcement: Announcement, rules: RuleIndex, options: MatchOptions): Match {
  const { repository } = announcement;
  // A repository that is new to a rule for many is found by its first push.
  const found = (rules.forMany.get(oneNameOf(repository.registry)) ?? []).flatMap((rule) => {
    const path = pathIn(rule, { ...repository, registry: rule.from.registry });
    return path === undefined ? [] : [{ rule: ruleFor(rule, path), path }];
  });
  const pathOf = new Map(found.map(({ rule, path }) => [rule, path]));
  const planOf = (rule: Rule, deletions?: true): RulePlan => {
    const path = pathOf.get(rule);
    return { ruleId: rule.id, ...(path !== undefined && { repository: path }), ...(deletions && { deletions }) };
  };
  const near = [...(rules.bySource.get(sourceKey(repository)) ?? []), ...pathOf.keys()];
  if (announcement.kind === 'delete') {
    const deleting = near.filter((rule) => mayDelete(rule, announcement));
    const replan = deleting.map((rule) => planOf(rule, true));
    if (replan.length > 0) return { kind: 'work', tasks: [], replan };
  }
  const taking = near.filter(({ select }) => isTaken(select, announcement));
  const completing = mayRefer(announcement)
    ? near.filter((rule) => !taking.includes(rule) && wantsReferrer(rule, announcement))
    : [];
  if (taking.length + completing.length === 0) return { kind: 'ignored', ...reasonAgainst(announcement, near, rules) };
  if (announcement.kind === 'delete') return { kind: 'ignored', reason: 'deletion' };
  return {
    kind: 'work',
    tasks: [
      ...taking.filter((rule) => !needsList(rule)).map((rule) => toTask(rule, announcement, options)),
      ...completing.map((rule) => toReferrerTask(rule, announcement, options)),
    ],
    replan: [
      ...taking.filter(needsList),
      // What was refused for want of a signature may have one now.
      ...completing.filter((rule) => rule.require !== undefined),
    ].map((rule) => planOf(rule)),
  };
}

/** Registries without an API that lists referrers: what refers to an image has a tag there, and an event with it. */
const referrersHaveTags: readonly DialectName[] = ['distribution', 'ghcr', 'gitlab'];

/**
 * Whether something that refers to an image may have been pushed: by a tag of cosign's or of a referrers index; or by
 * its digest alone, as the parts of images are, too.
 */
function mayRefer({ kind, tag, dialect }: Announcement): boolean {
  if (kind === 'delete') return false;
  return tag === undefined ? !referrersHaveTags.includes(dialect) : subjectOfTag(tag) !== undefined;
}

function wantsReferrer({ referrers = defaultReferrers }: Rule, { tag }: Announcement): boolean {
  if (referrers.types.length === 0) return false;
  const suffix = tag === undefined ? undefined : /\.[a-z]+$/.exec(tag)?.[0];
  return suffix === undefined || wantedSuffixes(referrers).includes(suffix);
}

/** Its destinations are the repositories; which of them has the image shows when it runs. */
function toReferrerTask(rule: Rule, announcement: Announcement, options: MatchOptions): Task {
  const { tag, digest = '' } = announcement;
  const place = tag === undefined ? { digest } : { tag };
  const destinations = new Map(rule.to.map((to) => [formatRepository(to), targetAt(to, place)]));
  const task = toTask(rule, announcement, options);
  return { ...task, source: targetAt(rule.from, place), destinations: [...destinations.values()], part: 'referrer' };
}

/**
 * How long the task of an announcement is to wait. One that knows the digest can run at once: it sees by it whether
 * what was announced is there already. Without it, all there is to do is to wait until it must be.
 */
export function waitOf({ hint }: Task, windowMs: number): number {
  return hint === undefined ? windowMs : 0;
}

function reasonAgainst(
  announcement: Announcement,
  near: readonly Rule[],
  rules: RuleIndex,
): { reason: IgnoredReason; mend?: string } {
  const { repository, tag } = announcement;
  if (isOwnPush(announcement)) return { reason: 'own-push' };
  if (tag === undefined && near.length > 0) return { reason: 'by-digest' };
  if (tag !== undefined && isReferrerTag(tag)) return { reason: 'referrer' };
  const [namesake] = near.length > 0 ? [] : (rules.byRepository.get(repository.repository) ?? []);
  if (namesake === undefined) return { reason: 'unmatched' };
  const { registry } = namesake.from;
  const mend =
    `a rule copies from ${formatRepository(namesake.from)}: where ${repository.registry} is another name of ` +
    `${registry}, write registry: ${registry} at this sender in the webhooks file`;
  return { reason: 'unmatched', mend };
}

function isTaken(select: Rule['select'], { tag, digest }: Announcement): boolean {
  if (select.kind === 'digest') return select.digest === digest;
  return tag !== undefined && matchesTag(select, tag);
}

/**
 * Whether a deletion at the source may lead to one by this rule. Its list of tags decides, not the event: a flood of
 * events deletes no more than a run.
 */
function mayDelete({ select, delete: policy }: Rule, { tag }: Announcement): boolean {
  return policy !== undefined && (tag === undefined || policy.tags === 'unselected' || matchesTag(select, tag));
}

/** `newest` compares all tags; and names of destination tags go by the position in the list of all that are taken. */
function needsList({ select, to }: Rule): boolean {
  if (select.kind === 'filter' && select.newest !== undefined) return true;
  return (select.kind === 'all' || select.kind === 'filter') && to.some(({ tags }) => tags !== undefined);
}

function toTask(
  { id, from, select, to, platforms, referrers, require: required, endpoints, pulls }: Rule,
  announcement: Announcement,
  options: MatchOptions,
): Task {
  const { tag = '', digest } = announcement;
  const position = select.kind === 'tags' ? select.tags.indexOf(tag) : 0;
  const place = select.kind === 'digest' ? { digest: select.digest } : { tag };
  return {
    version: 1,
    runId: options.runId,
    ruleId: id,
    source: targetAt(from, place),
    destinations: to.map((destination) => destinationAt(destination, position, place)),
    platforms,
    ...(referrers && { referrers }),
    ...(required && { require: required }),
    endpoints,
    pulls,
    force: false,
    plannedAt: options.now,
    pushed: true,
    ...(digest !== undefined && { hint: digest, settleUntil: options.settleUntil }),
    attempt: 0,
  };
}

type ManifestName = { tag: string } | { digest: Digest };

function destinationAt(destination: Destination, position: number, place: ManifestName): Target {
  const renamed = destination.tags?.[position];
  return targetAt(destination, renamed === undefined ? place : { tag: renamed });
}

function targetAt({ registry, repository }: Repository, place: ManifestName): Target {
  return { registry, repository, ...place };
}
