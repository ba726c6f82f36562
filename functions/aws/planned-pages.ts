import * as v from 'valibot';

/**
 * A planned page of a rule as the ledger keeps it: the tags after `after`, up to and including `next`, or to the end.
 * `rule` is the rule's short name. Pages of older versions do not say the whole.
 */
export const plannedPage = v.object({
  rule: v.string(),
  ruleId: v.optional(v.string()),
  after: v.string(),
  planned: v.number(),
  unchanged: v.number(),
  next: v.optional(v.string()),
  repositories: v.optional(v.number(), 0),
});

export type PlannedPage = v.InferOutput<typeof plannedPage>;

/**
 * Adds up the pages of a run, each tag once, and finds the rules whose pages reach from the first tag to the last.
 *
 * A plan message that is delivered twice while the tag list changes leaves two chains of pages with different borders.
 * Tags are planned in order, so of two overlapping pages the one that begins first counts.
 *
 * @param pages ordered by rule, then by `after` (UTF-8 bytes)
 */
export function sumPages(pages: PlannedPage[]): {
  planned: number;
  unchanged: number;
  /** Found by rules for many; each is expanded like a rule. */
  repositories: number;
  expanded: Set<string>;
} {
  const expanded = new Set<string>();
  let planned = 0;
  let unchanged = 0;
  let repositories = 0;
  let rule: string | undefined;
  // The last tag of this rule that is counted; undefined after the last page.
  let counted: string | undefined = '';
  let gap = false;
  for (const page of pages) {
    if (page.rule !== rule) {
      rule = page.rule;
      counted = '';
      gap = false;
    }
    // Tags are ASCII (distribution spec, "Pulling manifests"), so this compares bytes.
    if (counted === undefined || page.after < counted) continue;
    if (page.after > counted) gap = true;
    planned += page.planned;
    unchanged += page.unchanged;
    repositories += page.repositories;
    counted = page.next;
    if (counted === undefined && !gap) expanded.add(page.rule);
  }
  return { planned, unchanged, repositories, expanded };
}
