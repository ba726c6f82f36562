import { configurationError } from '../../core/model/errors.ts';

/** The variables that the stack sets for its functions. None holds a secret; some name one. */
export type Variable =
  /** Name of the ledger's table. */
  | 'TRANSHIP_TABLE'
  | 'TRANSHIP_TASK_QUEUE_URL'
  | 'TRANSHIP_PLAN_QUEUE_URL'
  | 'TRANSHIP_DEAD_LETTER_QUEUE_URL'
  /** URL of the queue for tasks that take longer than a copier has. */
  | 'TRANSHIP_LONG_TASK_QUEUE_URL'
  | 'TRANSHIP_PLAN_DEAD_LETTER_QUEUE_URL'
  /** Names or ARNs of the secrets with auth files, separated by commas. */
  | 'TRANSHIP_AUTH_SECRETS'
  /** Name or ARN of the event bus that ended runs are reported to. */
  | 'TRANSHIP_EVENT_BUS';

/** Optional numbers; without them a default holds. */
type NumberVariable =
  /** Tries of a task, or of a rule's expansion, until it is set aside. */
  | 'TRANSHIP_ATTEMPTS'
  /** Wait before the second try, doubled for each one after. */
  | 'TRANSHIP_BACKOFF_SECONDS'
  /** Rounds of tries that a dead letter gets. */
  | 'TRANSHIP_REDRIVES'
  /** Pause before the first of these; each next one is four times as long. */
  | 'TRANSHIP_REDRIVE_AFTER_SECONDS'
  | 'TRANSHIP_BLOBS_AT_ONCE'
  /** Blobs of so many bytes and more are uploaded in chunks, so that the next copier can go on with them. */
  | 'TRANSHIP_CHUNKED_FROM_BYTES'
  /** Their length. */
  | 'TRANSHIP_CHUNK_BYTES'
  /** Lambda's own: the function's memory in MB. */
  | 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE';
type TextVariable =
  /** Name or ARN of the secret with the values of the webhooks file's variables. */
  | 'TRANSHIP_WEBHOOK_SECRET'
  /** URL of the queue for tasks of announced tags. */
  | 'TRANSHIP_PUSHED_TASK_QUEUE_URL'
  /** Hosts, separated by commas: `RegistryClientOptions.allowedRealms`. */
  | 'TRANSHIP_ALLOWED_REALMS'
  /** ARN of the topic for mails about runs in which something failed. */
  | 'TRANSHIP_TOPIC_ARN'
  /** `true`: create an ECR repository when a push does not find it. */
  | 'TRANSHIP_CREATE_ECR_REPOSITORIES';

/**
 * The variables that a function needs, read once.
 *
 * @throws TranshipError `config-invalid`, naming every one that is missing or empty
 */
export function readEnvironment<Name extends Variable>(
  names: Name[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Record<Name, string> {
  const values = names.map((name) => [name, env[name]?.trim()] as const);
  const missing = values.filter(([, value]) => !value).map(([name]) => name);
  if (missing.length > 0) {
    throw configurationError(
      `${missing.length === 1 ? 'the variable is' : 'variables are'} not set: ${missing.join(', ')}`,
      {
        mend: 'deploy the stack: it sets them',
      },
    );
  }
  // The type of Object.fromEntries does not keep the names.
  return Object.fromEntries(values) as Record<Name, string>;
}

/**
 * A variable that is a number above 0, or 0 itself.
 * @throws TranshipError `config-invalid`
 */
export function readNumber(name: NumberVariable, otherwise: number): number {
  const text = process.env[name]?.trim();
  if (!text) return otherwise;
  if (!/^\d{1,9}$/.test(text)) {
    throw configurationError(`${name} is not a whole number`);
  }
  return Number(text);
}

/** A variable that may be missing; undefined also where it is empty. */
export function readText(name: TextVariable): string | undefined {
  return process.env[name]?.trim() || undefined;
}

/** The entries of a variable that is a list, without blanks and empty ones. */
export function readList(value: string): string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
