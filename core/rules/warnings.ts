import { placeOf, type UserFile, warn } from '../config/problems.ts';
import { quote } from '../model/quote.ts';
import { formatRepository } from '../model/reference.ts';
import type { Destination, Rule, Schedule } from '../model/rule.ts';

/** A rule and where its source stands in the file. */
export interface PlacedRule {
  rule: Rule;
  offset: number;
  /** A tag written beside the source's digest. */
  idleTag?: string;
  schedule?: Schedule;
}

/** What a rule would write: a tag whose name is known before the source is asked, or all that it takes. */
interface Write {
  /** `registry/repository:tag`, or `registry/repository` where the tags are not known yet. */
  key: string;
  /** The source that ends up there; two writes of one key by one source are the same write. */
  source: string;
}

/** Notes rules that can be run but are probably not meant so, each with its place. */
export function warnAboutRules(file: UserFile, rules: PlacedRule[]): void {
  const first = new Map<string, { source: string; offset: number }>();
  for (const { rule, offset, idleTag } of rules) {
    if (idleTag !== undefined) {
      warn(
        file,
        offset,
        `the tag ${quote(idleTag)} beside the digest is not used — write it at the destination to have it there`,
      );
    }
    const told = new Set<string>();
    for (const { key, source: from } of rule.to.flatMap((to) => writesOf(rule, to))) {
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, { source: from, offset });
      if (key === from) {
        warn(file, offset, `the rule copies ${quote(key)} onto itself`);
      } else if (earlier !== undefined && earlier.source !== from && !told.has(key)) {
        told.add(key);
        const where =
          earlier.offset === offset ? 'the same rule' : `the rule on line ${placeOf(file, earlier.offset).line}`;
        warn(
          file,
          offset,
          `${quote(key)} is also written by ${where}, from ${quote(earlier.source)}: where the two differ, every run changes what is there — give one of them another destination`,
        );
      }
    }
  }
}

function writesOf(rule: Rule, to: Destination): Write[] {
  // Which repositories it writes to is not known yet.
  if (rule.discover !== undefined) return [];
  const source = formatRepository(rule.from);
  const target = formatRepository(to);
  const { select } = rule;
  switch (select.kind) {
    case 'tags':
      return select.tags.map((tag, at) => ({ key: `${target}:${to.tags?.[at] ?? tag}`, source: `${source}:${tag}` }));
    case 'digest':
      return (to.tags ?? []).map((tag) => ({ key: `${target}:${tag}`, source: `${source}@${select.digest}` }));
    case 'all':
      return to.tags === undefined ? [{ key: target, source }] : [];
    case 'filter':
      // Two filters into one repository are a usual way to sort tags; only writing onto oneself is odd.
      return to.tags === undefined && target === source ? [{ key: target, source }] : [];
  }
}
