import type { Env } from '../config/expand-env.ts';
import { type Located, parseLocated } from '../config/located.ts';
import { openSource, report, type SourceFile, throwProblems } from '../config/problems.ts';
import type { RuleSet } from '../model/rule.ts';
import type { DefaultDestination } from './build-rule.ts';
import { readImages } from './images-file.ts';
import { readRules } from './rules-file.ts';
import { type PlacedRule, warnAboutRules } from './warnings.ts';

export interface LoadRulesOptions extends DefaultDestination {
  /** Name for messages; the format is told from the text, not from the suffix. */
  file: string;
  /** Variables for `$VAR` in destinations. */
  env: Env;
}

/** The formats a rules file may have. */
export type RulesFormat = 'tranship' | 'images' | 'config';

/**
 * Reads a rules file in YAML or JSON: tranship.yaml, image-syncer's images file, or the `images` of its older config file.
 * No tag is looked up.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 */
export function loadRules(text: string, options: LoadRulesOptions): RuleSet {
  const source = openSource(options.file);
  const { root, warnings } = parseLocated(source, text);
  return rulesOf(source, root, warnings, options);
}

/**
 * The rules of a file that is parsed already.
 * @throws TranshipError `config-invalid`
 */
export function rulesOf(
  source: SourceFile,
  root: Located | undefined,
  warnings: string[],
  options: LoadRulesOptions,
): RuleSet {
  const placed = root === undefined ? [] : readAny(source, root, options);
  if (root === undefined) report(source, 0, 'the file is empty', 'write rules as source: destination');
  throwProblems(source);
  const rules = placed.map(({ rule }) => rule);
  const none = rules.length === 0 ? [`${source.file}: there are no rules in the file`] : [];
  const scheduled = placed.flatMap(({ rule, schedule }) =>
    schedule === undefined ? [] : [[rule.id, schedule] as const],
  );
  return {
    rules,
    ...(scheduled.length > 0 && { schedules: Object.fromEntries(scheduled) }),
    warnings: [...warnings, ...none, ...warnAboutRules(source, placed)],
  };
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

function readAny(source: SourceFile, root: Located, options: LoadRulesOptions): PlacedRule[] {
  const images = { env: options.env, fallback: options };
  if (root.kind !== 'map') {
    report(
      source,
      root.offset,
      'a rules file is a map',
      'write rules as source: destination, or as tranship.yaml does',
    );
    return [];
  }
  switch (formatOf(root)) {
    case 'tranship':
      return readRules(source, root, options);
    case 'images':
      return readImages(source, root, images);
    case 'config': {
      const entry = root.entries.get('images');
      if (entry !== undefined) return readImages(source, entry.value, images);
      report(source, root.offset, 'the config file has no images', 'add a map images: of source: destination');
      return [];
    }
  }
}
