import { isTag } from '../model/reference.ts';
import type { TagSelection } from '../model/rule.ts';
import { compileRefusals, type Refusal, selectTags } from './select.ts';
import { orderByAge } from './version.ts';

/** Why a rule leaves a tag of its source out. */
export type LeftOutReason =
  | Refusal
  /** The rule lists its tags, or names a digest. */
  | { kind: 'not-listed' }
  /** It meets all conditions, and there are enough newer ones. */
  | { kind: 'older'; newest: number };

/** What a rule makes of the tags of its source. Newest first: versions in their order, then the others. */
export interface Explanation {
  taken: string[];
  leftOut: Array<{ tag: string; reason: LeftOutReason }>;
  /** Tags that the rule lists and the source does not have. */
  missing: string[];
}

/**
 * Says of every tag of a source whether a rule takes it, and why not.
 * @throws TranshipError `config-invalid` where a pattern or range of the selection cannot be compiled
 */
export function explainSelection(selection: TagSelection, tagNames: Iterable<string>): Explanation {
  const names = orderByAge([...new Set(tagNames)].filter(isTag)).reverse();
  const there = new Set(names);
  const selected = new Set(selectTags(selection, names));
  const refuse = selection.kind === 'filter' ? compileRefusals(selection) : () => undefined;
  const reasonFor = (tag: string): LeftOutReason => {
    if (selection.kind !== 'filter') return { kind: 'not-listed' };
    return refuse(tag) ?? { kind: 'older', newest: selection.newest ?? 0 };
  };
  return {
    taken: names.filter((tag) => selected.has(tag)),
    leftOut: names.filter((tag) => !selected.has(tag)).map((tag) => ({ tag, reason: reasonFor(tag) })),
    missing: [...selected].filter((tag) => !there.has(tag)),
  };
}
