import type { NotifyTarget } from './notify-target.ts';
import type { Digest, Repository } from './reference.ts';
import type { ReferrerChoice } from './referrer.ts';
import type { SignatureRequirement } from './requirement.ts';

/** Which platforms of an image to copy. Empty lists mean "no restriction". */
export interface PlatformFilter {
  /**
   * Whole platforms, `os/architecture[/variant]`: `linux/amd64`, `linux/arm64/v8`. An entry without variant takes every
   * variant.
   */
  platforms: string[];
  /** image-syncer's `--os`: `os` or `os:version`. */
  os: string[];
  /** image-syncer's `--arch`: `architecture` or `architecture:variant`. */
  arch: string[];
}

/**
 * Which tags of the source a rule takes. In a `filter`, a tag is taken when it passes `match` (any of; all when empty),
 * no `except`, and `semver`; `newest` then keeps the highest N.
 */
export type TagSelection =
  | { kind: 'all' }
  /** Each once, in the rule's order. */
  | { kind: 'tags'; tags: string[] }
  | { kind: 'digest'; digest: Digest }
  | { kind: 'filter'; match: Pattern[]; except: Pattern[]; semver?: string; newest?: number };

/**
 * A tag pattern: a glob over the whole tag, or a regular expression (RE2 syntax, found anywhere in the tag as
 * image-syncer does).
 */
export type Pattern = { kind: 'glob' | 'regex'; text: string };

/**
 * Where a rule copies to. `tags[i]` is the new name of the i-th tag that `selectTags` gives, or of the source's digest;
 * without `tags` the names are kept. For `tags` and `digest` the counts are equal, checked when the rules were read.
 * For `all` and `filter` the number of source tags is known only when the rule is expanded: where it is not
 * `tags.length`, the rule fails.
 */
export interface Destination extends Repository {
  tags?: string[];
  /** Given only where the source is a digest, and then the same. */
  digest?: Digest;
}

/** Which of the tags that a rule brought are deleted at its destinations. All parts must agree. */
export interface DeletionPolicy {
  /** `mirror`: those that are gone at the source. `unselected`: also those that the rule does not take any more. */
  tags: 'mirror' | 'unselected';
  /** More than this within a day, at one destination, are not deleted: the rule fails. */
  max: { percent: number } | { count: number };
  /** So many of the newest that the rule brought stay. */
  keep?: number;
  /** What was copied within this time stays. Milliseconds. */
  olderThanMs?: number;
}

/** Which repositories a rule for many takes. */
export interface Discovery {
  /** Right below the source's path (`*`), or at any depth (`**`). */
  depth: 'one' | 'any';
  /** Fitting any of these, and none of those; over the part of the name below the source's path. */
  match: Pattern[];
  except: Pattern[];
  /** With more than this the rule fails. */
  max: number;
}

/** One source and its destinations. */
export interface Rule {
  /** Stable over runs and unique in the rule set: the given name, or the source's text as written. */
  id: string;
  from: Repository;
  select: TagSelection;
  /** At least one. */
  to: Destination[];
  platforms: PlatformFilter;
  /** Default: signatures, attestations and SBOMs. */
  referrers?: ReferrerChoice;
  /** Who must have signed an image for it to be copied. */
  require?: SignatureRequirement;
  /** Where the source's manifests and blobs are read first, in this order; left out where nowhere else. */
  endpoints?: Endpoint[];
  /** Left out where the rule may pull as often as it needs. */
  pulls?: PullBudget;
  /** Left out, nothing is deleted. */
  delete?: DeletionPolicy;
  /**
   * The rule is for many repositories: source and destinations are paths, empty ones for whole registries, and each
   * repository keeps what is below them as its name.
   */
  discover?: Discovery;
}

/** A mirror of a registry: the repository `library/nginx` is `path/library/nginx` there. */
export interface Endpoint {
  registry: string;
  /** Without slashes at its ends; empty for none. */
  path: string;
}

/** How often a rule may pull from its source: manifests that are read by GET, which is what quotas count. */
export interface PullBudget {
  pulls: number;
  /** In any time of this length. */
  windowMs: number;
}

/** When `tranship serve` expands rules; a stack on AWS has a schedule of its own. */
export interface Schedule {
  /** Five fields, or six with seconds in front. */
  cron: string;
  /** IANA name; without it, the machine's own. */
  timeZone?: string;
  /** A start is put off by a random time of at most this. */
  jitterMs: number;
}

/** What a rules file says. Its rules are plain data: they travel in messages and are stored as they are. */
export interface RuleSet {
  rules: Rule[];
  /** By rule id, of the rules that have one; not there where none has. */
  schedules?: Record<string, Schedule>;
  /** By rule id: the line of the file on which the rule names its source, from 1. */
  lines: Record<string, number>;
  /** Whom to tell of failures; read on request, since it holds secrets. */
  notify?: NotifyTarget[];
  /** Things that work but are probably not meant, each with its place. */
  warnings: string[];
}
