import { dialects } from '../../core/announce/dialects.ts';
import { isAllowed, type Sender } from '../../core/announce/sender.ts';
import type { Rule } from '../../core/model/rule.ts';

/**
 * The rules to plan when the process starts. Without a wish of the user's, those that copy from where a sender speaks
 * for that is known to send an event once: what it sent while nobody listened is lost.
 *
 * @param wish what `--sync-at-start` says
 */
export function rulesToCatchUp(
  rules: readonly Rule[],
  senders: ReadonlyMap<string, Sender>,
  wish: boolean | undefined,
): Rule[] {
  if (wish !== undefined) return wish ? [...rules] : [];
  const once = [...senders.values()].filter(({ dialect }) => dialects[dialect].sendsOnce === true);
  return rules.filter(({ from }) => once.some((sender) => isAllowed(sender, from)));
}
