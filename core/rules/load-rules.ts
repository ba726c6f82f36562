import type { Env } from '../config/expand-env.ts';
import { recogniseFile } from '../config/known-files.ts';
import { isEmpty, type Located, valueAt } from '../config/located.ts';
import { parseLocated } from '../config/parse-located.ts';
import { openFile, placeOf, report, throwProblems, type UserFile, warn } from '../config/problems.ts';
import type { NotifyTarget } from '../model/notify-target.ts';
import type { RuleSet } from '../model/rule.ts';
import { readNotify } from '../notice/read-notify.ts';
import type { DefaultDestination } from './build-rule.ts';
import { readImages } from './images-file.ts';
import type { ReadNamed } from './read-requirement.ts';
import { readRules } from './rules-file.ts';
import { type PlacedRule, warnAboutRules } from './warnings.ts';

export interface LoadRulesOptions extends DefaultDestination {
  /** Name for messages; the format is told from the text, not from the suffix. */
  file: string;
  /** Variables for `$VAR` in destinations. */
  env: Env;
  /** Reads files that rules name: keys. Without it, they stand in the rules. */
  readNamed?: ReadNamed;
  /** `read`: with its variables. `refuse`: a warning says that it has no effect. Else it is passed over. */
  notify?: 'read' | 'refuse';
}

/** The formats a rules file may have. */
type RulesFormat = 'tranship' | 'images' | 'config';

/**
 * Reads a rules file in YAML or JSON: tranship.yaml, image-syncer's images file, or the `images` of its older config
 * file. No tag is looked up.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 */
export function loadRules(text: string, options: LoadRulesOptions): RuleSet {
  const file = openFile(options.file);
  return rulesOf(file, parseLocated(file, text), options);
}

/**
 * The rules of a file that is parsed already.
 * @throws TranshipError `config-invalid`
 */
export function rulesOf(file: UserFile, root: Located | undefined, options: LoadRulesOptions): RuleSet {
  // Cut off while it was written, more likely than meant.
  if (root === undefined) report(file, 0, 'the file is empty', 'write rules as source: destination');
  const placed = root === undefined ? [] : readAny(file, root, options);
  const notify = root === undefined || file.problems.length > 0 ? [] : readAnyNotify(file, root, options);
  throwProblems(file);
  if (placed.length === 0) file.warnings.push(`${file.name}: there are no rules in the file`);
  warnAboutRules(file, placed);
  const scheduled = placed.flatMap(({ rule, schedule }) =>
    schedule === undefined ? [] : [[rule.id, schedule] as const],
  );
  return {
    rules: placed.map(({ rule }) => rule),
    schedules: scheduled.length > 0 ? Object.fromEntries(scheduled) : undefined,
    lines: Object.fromEntries(placed.map(({ rule, offset }) => [rule.id, placeOf(file, offset).line])),
    notify,
    warnings: file.warnings,
  };
}

function readAnyNotify(file: UserFile, root: Located, { env, notify }: LoadRulesOptions): NotifyTarget[] {
  if (formatOf(root) !== 'tranship') return [];
  if (notify === 'read') return readNotify(file, root, env);
  const node = valueAt(root, 'notify');
  if (notify === 'refuse' && node !== undefined)
    warn(file, node.offset, 'notify has no effect on AWS, where failures are mailed by the stack');
  return [];
}

/** Which format a parsed file is in. A source may be called anything, so it is the kinds of the values that tell. */
export function formatOf(root: Located): RulesFormat {
  if (root.kind !== 'map') return 'images';
  const kinds = (key: string): Located | undefined => root.entries.get(key)?.value;
  const [version, rules, images, auth] = [kinds('version'), kinds('rules'), kinds('images'), kinds('auth')];
  if (version?.kind === 'scalar' && typeof version.value === 'number') return 'tranship';
  if (rules?.kind === 'map' || (rules?.kind === 'list' && rules.items[0]?.kind !== 'scalar')) return 'tranship';
  return images?.kind === 'map' || auth?.kind === 'map' ? 'config' : 'images';
}

function readAny(file: UserFile, root: Located, options: LoadRulesOptions): PlacedRule[] {
  const images = { env: options.env, fallback: options };
  if (isEmpty(root)) return [];
  const known = recogniseFile(root);
  if (known !== undefined && !['rules', 'config', 'images'].includes(known.kind)) {
    report(file, root.offset, `this is ${known.name}, and not rules`, known.mend);
    return [];
  }
  if (root.kind !== 'map') {
    const mend =
      root.kind === 'list'
        ? 'give each image a destination, as source: destination'
        : 'write rules as source: destination, with a blank after the colon, or as tranship.yaml does';
    report(file, root.offset, 'a rules file is a map', mend);
    return [];
  }
  switch (formatOf(root)) {
    case 'tranship':
      return readRules(file, root, options);
    case 'images':
      return readImages(file, root, images);
    case 'config': {
      const entry = root.entries.get('images');
      if (entry !== undefined) return readImages(file, entry.value, images);
      report(file, root.offset, 'the config file has no images', 'add a map images: of source: destination');
      return [];
    }
  }
}
