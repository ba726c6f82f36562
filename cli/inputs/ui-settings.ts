import { fileURLToPath } from 'node:url';
import type { Credentials } from '../../core/model/credentials.ts';
import { configurationError } from '../../core/model/errors.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { Flags } from '../args/flags.ts';
import { lookHere } from './file-look.ts';
import { readCredentials, readInputs, readText } from './inputs.ts';
import { hasRules } from './rule-files.ts';

type Env = Record<string, string | undefined>;

const LEAST_TOKEN_LENGTH = 16;

/**
 * The token of `--ui-token-file`; undefined where the flag is not given.
 * @throws TranshipError `configuration` where it is too short to keep anybody out
 */
export async function readUiToken(flags: Pick<Flags, 'uiTokenFile'>): Promise<string | undefined> {
  const { uiTokenFile: file } = flags;
  if (file === undefined) return undefined;
  const token = (await readText(file)).trim();
  if (token.length >= LEAST_TOKEN_LENGTH) return token;
  throw configurationError(`the token in ${file} has fewer than ${LEAST_TOKEN_LENGTH} characters`, {
    place: { file },
    mend: `Make one: openssl rand -hex 16 > ${file}`,
  });
}

/** Rules where there is a rules file, and logins. */
export interface UiInputs {
  rules: Rule[] | undefined;
  whyNoRules: string | undefined;
  credentials: Credentials;
  warnings: string[];
}

/**
 * Reads what the status page goes by; rules may be missing.
 * @throws TranshipError `configuration` where a file is there and cannot be used
 */
export async function readUiInputs(flags: Flags, env: Env): Promise<UiInputs> {
  if (hasRules(flags, lookHere)) return { ...(await readInputs(flags, env)), whyNoRules: undefined };
  const logins = await readCredentials(flags, env);
  return { ...logins, rules: undefined, whyNoRules: 'there is no rules file here: give one with --rules or --images' };
}

/** Where `npm run build` puts the page: beside the bundled command. */
export function pageDirectory(): string {
  const isSource = import.meta.url.endsWith('.ts');
  return fileURLToPath(new URL(isSource ? '../../dist/ui' : './ui', import.meta.url));
}
