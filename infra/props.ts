import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import type { IEventBus } from 'aws-cdk-lib/aws-events';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { RuleSet } from '../core/model/rule.ts';

/** When to start a run. */
export interface RunSchedule {
  /** Names the schedule and, in the ledger, the runs it starts. Letters, digits and hyphens. */
  name: string;
  /** As EventBridge Scheduler writes it: `cron(0 3 * * ? *)`, `rate(1 hour)`. */
  expression: string;
  /** IANA name. @default 'UTC' */
  timeZone?: string;
  /** Ids of the rules to expand. @default all */
  rules?: string[];
}

/** A domain of the user's own. */
export interface OwnDomain {
  name: string;
  /** For that name, in the stack's region. */
  certificate: ICertificate;
  /** Gets an alias of that name. @default none: the name is made a CNAME by hand */
  hostedZone?: IHostedZone;
}

export interface TranshipProps {
  /** Path of the rules file: tranship.yaml, or image-syncer's images or config file. */
  rulesFile: string;
  /** @default one run a day at 03:00 UTC of all rules */
  schedules?: RunSchedule[];
  /** A run starts some time within so many minutes from its time, which spreads load; 0 for on time. @default 15 */
  flexibleWindowMinutes?: number;

  /** Memory of a copier, and with it its CPU: 1769 MB is one. @default 1024 */
  copierMemoryMb?: number;
  /**
   * Who works on what takes longer than a copier has and cannot be continued: `none` in the stack, a `role` for the
   * command `tranship worker`, or a service on `fargate`, which needs Docker at the deployment. @default none
   */
  longWorker?: 'none' | 'role' | 'fargate';
  /** Longest that one copier works before the rest of its task goes to the next one; 2 to 15. @default 15 */
  copierTimeoutMinutes?: number;
  /** Copiers at once, 2 to 1000. @default 5, so that all defaults fit into the 10 functions of a new account */
  copierConcurrency?: number;
  /** Blobs that one copier moves at once. @default 4 */
  blobsAtOnce?: number;
  /** Planners at once, 2 to 1000: so many rules are expanded side by side. @default 2 */
  plannerConcurrency?: number;

  /** Tries of a task, or of a rule's expansion, before it becomes a dead letter, or the rule fails. @default 5 */
  attempts?: number;
  /** Wait before the second try; doubled for each one after. @default 30 */
  backoffSeconds?: number;
  /** How often a dead letter is tried again before its tags are failed. @default 5 */
  redrives?: number;
  /** How often dead letters are looked at. @default 60 */
  redriveEveryMinutes?: number;
  /**
   * Pause before the first second chance of a dead letter; each next one is four times as long, up to six hours.
   * @default 15
   */
  redriveAfterMinutes?: number;

  /**
   * Path of the webhooks file: a URL for each sender in it. Its secrets must be variables. @default none, and no URL
   */
  webhooksFile?: string;
  /** Hear of pushes to the private ECR repositories of this account and region that rules copy from. @default false */
  ecrEvents?: boolean;
  /** A domain for the URLs, by an HTTP API. @default the function's own URL */
  webhookDomain?: OwnDomain;
  /**
   * Push events that are answered at once, 1 to 1000: a share of the account's limit of concurrent functions that is
   * the webhook's alone. An account must keep 100 besides (a new one, whose limit is 10, all of them). @default no
   * share of its own
   */
  webhookConcurrency?: number;
  /** Copiers at once for pushed tags, besides the others, 2 to 1000. @default 2 */
  pushedCopierConcurrency?: number;

  /** Secrets with auth files, besides the one that the stack makes. A later one wins. @default none */
  loginSecrets?: ISecret[];
  /** Hosts that may be asked for tokens and redirected to besides those that belong to a registry. @default none */
  allowedRealms?: string[];
  /** Make a repository of a private ECR registry that a push does not find. @default false */
  createEcrRepositories?: boolean;

  /** Gets a mail for each alarm, and for each run in which something failed. @default none */
  email?: string;
  /** Takes alarms and failed runs instead of a topic that the stack makes for `email`. */
  topic?: ITopic;
  /** Hears of ended runs. @default the account's default bus */
  eventBus?: IEventBus;

  /** @default three months */
  logRetention?: RetentionDays;
  /** Keep the table where the stack is deleted, and refuse to delete it. @default true */
  deletionProtection?: boolean;
  /** Encrypts queues, table, secret, topic and logs. @default keys of AWS's own */
  encryptionKey?: IKey;
  /** Puts the functions into its private subnets, which must have a way out. @default none */
  vpc?: IVpc;
}

export type Settings = Required<Omit<TranshipProps, 'rulesFile' | OptionalParts>> & Pick<TranshipProps, OptionalParts>;
type OptionalParts =
  | 'webhooksFile'
  | 'webhookDomain'
  | 'webhookConcurrency'
  | 'email'
  | 'topic'
  | 'eventBus'
  | 'encryptionKey'
  | 'vpc';

const defaults = {
  schedules: [{ name: 'daily', expression: 'cron(0 3 * * ? *)' }],
  flexibleWindowMinutes: 15,
  copierMemoryMb: 1024,
  longWorker: 'none',
  copierTimeoutMinutes: 15,
  copierConcurrency: 5,
  blobsAtOnce: 4,
  plannerConcurrency: 2,
  attempts: 5,
  backoffSeconds: 30,
  redrives: 5,
  redriveEveryMinutes: 60,
  redriveAfterMinutes: 15,
  ecrEvents: false,
  pushedCopierConcurrency: 2,
  loginSecrets: [],
  allowedRealms: [],
  createEcrRepositories: false,
  logRetention: RetentionDays.THREE_MONTHS,
  deletionProtection: true,
} satisfies Partial<TranshipProps>;

/** Bounds of the numbers, inclusive: AWS's own, or where the product stops making sense. */
const ranges = [
  ['flexibleWindowMinutes', 0, 1440],
  ['copierMemoryMb', 256, 10_240],
  ['copierTimeoutMinutes', 2, 15],
  ['copierConcurrency', 2, 1000],
  ['blobsAtOnce', 1, 64],
  ['plannerConcurrency', 2, 1000],
  ['attempts', 1, 20],
  ['backoffSeconds', 1, 900],
  ['redrives', 0, 20],
  ['redriveEveryMinutes', 1, 1440],
  ['redriveAfterMinutes', 0, 1440],
  ['webhookConcurrency', 1, 1000],
  ['pushedCopierConcurrency', 2, 1000],
] as const satisfies Array<readonly [name: keyof TranshipProps, least: number, most: number]>;

/**
 * The settings with their defaults.
 * @throws Error naming the first that cannot be used, with its value
 */
export function settingsOf({ rulesFile: _rulesFile, ...props }: TranshipProps, { rules }: RuleSet): Settings {
  const given = Object.fromEntries(Object.entries(props).filter(([, value]) => value !== undefined));
  const settings: Settings = { ...defaults, ...given };
  for (const [name, least, most] of ranges) {
    const value = settings[name];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Error(`${name} must be a whole number from ${least} to ${most}, got ${JSON.stringify(value)}`);
    }
  }
  if (settings.webhookDomain && settings.webhooksFile === undefined) {
    throw new Error('webhookDomain: there is no webhooks file, and so no URL');
  }
  const known = new Set(rules.map((rule) => rule.id));
  const names = new Set<string>();
  for (const { name, rules: ids = [] } of settings.schedules) {
    if (!/^[A-Za-z0-9-]{1,40}$/.test(name) || names.has(name)) {
      throw new Error(
        `schedules need different names of letters, digits and hyphens (40 at most), got ${JSON.stringify(name)}`,
      );
    }
    names.add(name);
    const unknown = ids.filter((id) => !known.has(id));
    if (unknown.length > 0) throw new Error(`schedule ${name}: the rules file has no rule ${unknown.join(', ')}`);
  }
  return settings;
}
