import type { Digest, Repository, Target } from '../model/reference.ts';
import type { Destination, Rule } from '../model/rule.ts';
import type { Task } from '../pipeline/ports/queue.ts';
import { matchesTag } from '../rules/select.ts';
import type { Announcement } from './announcement.ts';
import { isOwnPush } from './filter.ts';

export interface MatchOptions {
  runId: string;
  /** Epoch ms. */
  now: number;
  /** Epoch ms until which tags may not be what was announced yet. */
  settleUntil: number;
}

/** What announcements lead to. */
export interface Matched {
  tasks: Task[];
  /** Ids of rules that one tag cannot decide: they must be planned anew, each once. */
  replan: string[];
  /** Our own pushes that no rule copies on: what a copy causes at a destination that tells of pushes. */
  own: Announcement[];
  /** By digest alone, of a repository that a rule copies tags of: the parts of an image, whose tag is announced by itself. */
  byDigest: Announcement[];
  /** Other announcements that no rule takes. */
  unmatched: Announcement[];
  /** Deletions of what a rule takes: no rule mirrors deletions. */
  deletions: Announcement[];
}

/**
 * Finds the rules whose source was announced, and makes their tasks: one for each rule and tag, with all its destinations.
 *
 * @param announcements each thing once (see `createCoalescer`)
 * @throws TranshipError `config-invalid` where a pattern of a rule cannot be compiled
 */
export function matchAnnouncements(
  announcements: readonly Announcement[],
  rules: readonly Rule[],
  options: MatchOptions,
): Matched {
  const matched: Matched = { tasks: [], replan: [], own: [], byDigest: [], unmatched: [], deletions: [] };
  const replan = new Set<string>();
  for (const announcement of announcements) {
    const near = rules.filter(({ from }) => isSame(from, announcement.repository));
    const taking = near.filter(({ select }) => isTaken(select, announcement));
    if (taking.length === 0) {
      const isPart = announcement.tag === undefined && near.length > 0;
      const list = isOwnPush(announcement) ? matched.own : isPart ? matched.byDigest : matched.unmatched;
      list.push(announcement);
    } else if (announcement.kind === 'delete') matched.deletions.push(announcement);
    else {
      for (const rule of taking) {
        if (needsList(rule)) replan.add(rule.id);
        else matched.tasks.push(toTask(rule, announcement, options));
      }
    }
  }
  return { ...matched, replan: [...replan] };
}

/**
 * How long the task of an announcement is to wait. One that knows the digest can run at once: it sees by it whether what
 * was announced is there already. Without it, all there is to do is to wait until it must be.
 */
export function waitOf({ hint }: Task, windowMs: number): number {
  return hint === undefined ? windowMs : 0;
}

function isSame(one: Repository, other: Repository): boolean {
  return one.registry === other.registry && one.repository === other.repository;
}

function isTaken(select: Rule['select'], { tag, digest }: Announcement): boolean {
  if (select.kind === 'digest') return select.digest === digest;
  return tag !== undefined && matchesTag(select, tag);
}

/** `newest` compares all tags; and names of destination tags go by the position in the list of all that are taken. */
function needsList({ select, to }: Rule): boolean {
  if (select.kind === 'filter' && select.newest !== undefined) return true;
  return (select.kind === 'all' || select.kind === 'filter') && to.some(({ tags }) => tags !== undefined);
}

function toTask({ id, from, select, to, platforms }: Rule, announcement: Announcement, options: MatchOptions): Task {
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
