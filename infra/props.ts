import { Token } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import type { IEventBus } from 'aws-cdk-lib/aws-events';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { configurationError, type TranshipError } from '../core/model/errors.ts';
import { quote } from '../core/model/quote.ts';
import { isRegistryName } from '../core/model/reference.ts';
import type { RuleSet } from '../core/model/rule.ts';
import { isTimeZone, mendTimeZone } from '../core/rules/schedule.ts';
import { longestGap } from './longest-gap.ts';
import type { RunSchedule } from './run-schedule.ts';

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
 * @throws TranshipError `config-invalid` naming the first that cannot be used, with its value
 */
export function settingsOf({ rulesFile: _rulesFile, ...props }: TranshipProps, rules: RuleSet): Settings {
  const given = Object.fromEntries(Object.entries(props).filter(([, value]) => value !== undefined));
  const settings: Settings = { ...defaults, ...given };
  for (const [name, least, most] of ranges) {
    const value = settings[name];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw unusable(`${name} must be a whole number from ${least} to ${most}, got ${JSON.stringify(value)}`);
    }
  }
  if (RetentionDays[settings.logRetention] === undefined) {
    const periods = Object.values(RetentionDays).filter((days) => typeof days === 'number');
    throw unusable(`logRetention must be one of CloudWatch's periods in days, got ${settings.logRetention}`, {
      mend: `use one of ${periods.join(', ')}; ${RetentionDays.INFINITE} is for ever`,
    });
  }
  checkNotices(settings);
  checkHosts(settings);
  checkSchedules(settings, rules);
  return settings;
}

function checkNotices({ email, topic }: Settings): void {
  if (email === undefined) return;
  if (topic !== undefined) {
    throw unusable('email and a topic of yours do not go together', {
      mend: `leave email out, and subscribe ${email} to your topic`,
    });
  }
  if (!Token.isUnresolved(email) && !/^[^\s@,;<>]+@[^\s@,;<>]+\.[^\s@,;<>]+$/.test(email)) {
    throw unusable(`email must be one address, got ${quote(email)}`, {
      mend: 'write it as ops@example.com; for several give topicArn, a topic of yours that they are subscribed to',
    });
  }
}

function checkHosts({ allowedRealms, webhookDomain, webhooksFile }: Settings): void {
  const mend = 'write it as auth.example.com or auth.example.com:5001, without https://';
  for (const realm of allowedRealms) {
    if (!Token.isUnresolved(realm) && !isRegistryName(realm.toLowerCase())) {
      throw unusable(`allowedRealms: ${quote(realm)} is not a host`, { mend });
    }
  }
  if (webhookDomain === undefined) return;
  if (webhooksFile === undefined) throw unusable('webhookDomain: there is no webhooks file, and so no URL');
  const { name } = webhookDomain;
  if (!Token.isUnresolved(name) && !(isRegistryName(name) && /^[^:[]+\.[^:[]+$/.test(name))) {
    throw unusable(`webhookDomain: ${quote(name)} is not the name of a host`, {
      mend: 'write it as hooks.example.com, in small letters, without https:// and without a port',
    });
  }
}

function checkSchedules({ schedules }: Settings, { rules }: RuleSet): void {
  const known = new Set(rules.map((rule) => rule.id));
  const names = new Set<string>();
  for (const schedule of schedules) {
    const { name, timeZone, rules: ids = [] } = schedule;
    if (!/^[A-Za-z0-9-]{1,40}$/.test(name) || names.has(name)) {
      throw unusable(
        `schedules need different names of letters, digits and hyphens (40 at most), got ${JSON.stringify(name)}`,
      );
    }
    names.add(name);
    if (timeZone !== undefined && !Token.isUnresolved(timeZone) && !isTimeZone(timeZone)) {
      throw unusable(`schedule ${name}: there is no time zone ${quote(timeZone)}`, { mend: mendTimeZone });
    }
    // Reads the expression, and refuses what AWS would.
    longestGap(schedule);
    const unknown = ids.filter((id) => !known.has(id));
    if (unknown.length > 0) throw unusable(`schedule ${name}: the rules file has no rule ${unknown.join(', ')}`);
  }
}

function unusable(message: string, { mend }: { mend?: string } = {}): TranshipError {
  return configurationError(message, { mend });
}
