import { type Auth, authOf, expandConfigValue } from '../config/auth-file.ts';
import { type Located, type LocatedEntry, valueAt } from '../config/located.ts';
import { parseLocated } from '../config/parse-located.ts';
import { openFile, throwProblems, type UserFile, warn } from '../config/problems.ts';
import type { RuleSet } from '../model/rule.ts';
import { formatOf, type LoadRulesOptions, rulesOf } from './load-rules.ts';

/**
 * Reads image-syncer's older config file (`--config`): logins under `auth` and images under `images`, in YAML or JSON.
 *
 * @throws TranshipError `config-invalid` with everything that is wrong, each as `file:line:column: what — mend`
 * @see https://github.com/AliyunContainerService/image-syncer examples/config.yaml
 */
export function loadConfig(text: string, options: LoadRulesOptions): { rules: RuleSet; auth: Auth } {
  const file = openFile(options.file);
  return configOf(file, parseLocated(file, text), options);
}

/**
 * Reads a file of rules, in any format. Where it is that older config file, with logins in it, they are read too.
 *
 * @throws TranshipError `config-invalid`
 */
export function loadRulesAndLogins(text: string, options: LoadRulesOptions): { rules: RuleSet; auth?: Auth } {
  const file = openFile(options.file);
  const root = parseLocated(file, text);
  const hasLogins = root !== undefined && formatOf(root) === 'config' && valueAt(root, 'auth') !== undefined;
  return hasLogins ? configOf(file, root, options) : { rules: rulesOf(file, root, options) };
}

function configOf(
  file: UserFile,
  root: Located | undefined,
  options: LoadRulesOptions,
): { rules: RuleSet; auth: Auth } {
  const entries: ReadonlyMap<string, LocatedEntry> = root?.kind === 'map' ? root.entries : new Map();
  const { entries: logins } = authOf(file, entries.get('auth')?.value, (value) =>
    expandConfigValue(value, options.env),
  );
  // What follows is about the rules.
  const auth = { entries: logins, warnings: file.warnings.splice(0) };
  for (const [key, { keyOffset }] of entries.has('images') ? entries : []) {
    if (key !== 'auth' && key !== 'images') warn(file, keyOffset, `${key} is not read any more`);
  }
  const rules = rulesOf(file, root, options);
  throwProblems(file);
  return { rules, auth };
}
