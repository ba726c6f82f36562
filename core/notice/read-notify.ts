import type { Env } from '../config/expand-env.ts';
import { type Located, toPlain, valueAt } from '../config/located.ts';
import { attempt, type UserFile } from '../config/problems.ts';
import type { NotifyTarget } from '../model/notify-target.ts';
import { targetsOf } from './expand-target.ts';
import type { NotifyEntry } from './notify-schema.ts';

/** Reads `notify:` of a file that fits its schema. What is wrong is noted in `file`. */
export function readNotify(file: UserFile, root: Located, env: Env): NotifyTarget[] {
  const node = valueAt(root, 'notify');
  if (node?.kind !== 'list') return [];
  return node.items.flatMap(
    (item) => attempt(file, item.offset, () => targetsOf(toPlain(item) as NotifyEntry, env)) ?? [],
  );
}
