import { imageRule } from '../../core/rules/image-rule.ts';
import type { Flags } from '../args/flags.ts';
import type { ExitCode } from '../exit-codes.ts';
import { readCredentials, withFlagPlatforms } from '../inputs/inputs.ts';
import type { Shell } from '../shell.ts';
import { runRules } from './sync.ts';

/**
 * `tranship copy SOURCE DESTINATION...`: a sync of one rule that is written on the command line.
 * @param words the source and its destinations
 */
export async function copy(flags: Flags, words: string[], warnings: string[], shell: Shell): Promise<ExitCode> {
  const [source = '', ...destinations] = words;
  const rule = imageRule(source, destinations, { env: shell.env, allTags: flags.allTags });
  const logins = await readCredentials(flags, shell.env);
  return runRules(flags, shell, {
    trigger: 'copy',
    credentials: logins.credentials,
    rules: withFlagPlatforms([rule], flags),
    warnings: [...warnings, ...logins.warnings],
  });
}
