import { loadSenders } from '../core/announce/load-senders.ts';
import { type Sender, secretsOf } from '../core/announce/sender.ts';
import { toPlain } from '../core/config/located.ts';
import { parseLocated } from '../core/config/parse-located.ts';
import { openFile } from '../core/config/problems.ts';
import { configurationError, type TranshipError } from '../core/model/errors.ts';
import { readFile } from './read-file.ts';

/** The senders of a webhooks file, as the function gets them: the secrets are still the names of variables. */
export interface Senders {
  /** What the file says of each, by name. */
  entries: Record<string, unknown>;
  senders: Sender[];
  /** What the secret must have values for. */
  variables: string[];
}

/** Stands for the value of any variable while the file is checked: long enough for a token and for a secret. */
const ANY_VALUE = 'a'.repeat(32);

/**
 * Reads the webhooks file while the app is synthesised. What it says becomes part of the function's code, so its
 * secrets must all be variables.
 *
 * @throws TranshipError `config-invalid`, with everything that is wrong
 */
export function readSenders(file: string): Senders {
  const text = readFile(file, 'set tranship:webhooks in cdk.json to the path of a webhooks file');
  const variables = new Set<string>();
  const env = new Proxy<Record<string, string>>(
    {},
    {
      get(_, name) {
        variables.add(String(name));
        return ANY_VALUE;
      },
    },
  );
  const senders = [...loadSenders(text, { file, env }).values()];
  const open = senders.filter(({ urlTokens, auth }) =>
    [...urlTokens, ...secretsOf(auth)].some((secret) => secret !== ANY_VALUE),
  );
  if (open.length > 0) {
    throw invalid(
      file,
      `secrets are written in it: ${open.map(({ name }) => name).join(', ')}`,
      `write a variable for each, as \${HUB_TOKEN}; its value goes into the stack's secret`,
    );
  }
  const root = parseLocated(openFile(file), text);
  const entries = root === undefined ? {} : (toPlain(root) as Record<string, unknown>);
  return { entries, senders, variables: [...variables].sort() };
}

function invalid(file: string, what: string, mend: string): TranshipError {
  return configurationError(`${file}: ${what}`, {
    place: { file },
    mend,
  });
}
