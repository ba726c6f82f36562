import { TranshipError } from '../../core/errors.ts';

/** What the stack tells its functions. None of them is a secret; secrets are named, not given. */
export type Variable =
  /** Name of the ledger's table. */
  | 'TRANSHIP_TABLE'
  | 'TRANSHIP_TASK_QUEUE_URL'
  | 'TRANSHIP_PLAN_QUEUE_URL'
  | 'TRANSHIP_DEAD_LETTER_QUEUE_URL'
  /** Names or ARNs of the secrets that hold auth files, separated by commas. */
  | 'TRANSHIP_AUTH_SECRETS'
  /** Name or ARN of the secret of the webhook. */
  | 'TRANSHIP_WEBHOOK_SECRET'
  /** Name or ARN of the event bus that hears of ended runs. */
  | 'TRANSHIP_EVENT_BUS';

/**
 * The variables that a function needs, read once.
 *
 * @throws TranshipError `config-invalid`, naming every one that is missing or empty
 */
export function readEnvironment<Name extends Variable>(
  names: Name[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Record<Name, string> {
  const missing = names.filter((name) => !env[name]?.trim());
  if (missing.length > 0) {
    throw new TranshipError(
      `${missing.length === 1 ? 'the variable is' : 'variables are'} not set: ${missing.join(', ')}`,
      {
        class: 'configuration',
        code: 'config-invalid',
        mend: 'deploy the stack: it sets them',
      },
    );
  }
  return Object.fromEntries(names.map((name) => [name, env[name]!.trim()])) as Record<Name, string>;
}

/** The entries of a variable that is a list, without blanks and empty ones. */
export function readList(value: string): string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
