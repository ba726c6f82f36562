import {
  Annotations,
  type App,
  aws_certificatemanager as acm,
  aws_kms as kms,
  type Stack,
  aws_sns as sns,
} from 'aws-cdk-lib';
import * as v from 'valibot';
import { check, formatPath, mapOf } from '../core/config/shape.ts';
import { configurationError } from '../core/model/errors.ts';
import { quote } from '../core/model/quote.ts';
import type { TranshipProps } from './props.ts';
import type { RunSchedule } from './run-schedule.ts';

const PREFIX = 'tranship:';
/** What a fresh clone is synthesised with. */
const EXAMPLE_RULES = 'examples/tranship.yaml';

/** Values come as text from the command line (`-c tranship:attempts=3`), and as what they are from cdk.json. */
const text = v.pipe(v.unknown(), v.transform(String));
const number = v.pipe(v.unknown(), v.transform(Number), v.number('must be a number'));
const flag = v.pipe(
  v.unknown(),
  v.transform(String),
  v.picklist(['true', 'false'], 'must be true or false'),
  v.transform((word) => word === 'true'),
);
const words = v.pipe(
  v.unknown(),
  v.transform((value) => (Array.isArray(value) ? value.map(String) : String(value).split(','))),
  v.transform((list) => list.map((word) => word.trim()).filter((word) => word !== '')),
);
const schedules = v.array(
  mapOf({
    name: v.string(),
    expression: v.string(),
    timeZone: v.optional(v.string()),
    rules: v.optional(v.array(v.string())),
  }),
);

/** An ARN of one kind of things. */
const arn = (service: string, resource: string, what: string) =>
  v.pipe(
    text,
    v.regex(new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:\\d{12}:${resource}$`), `must be the ARN of ${what}`),
  );

/** The settings that are words and numbers, by their names in the context. */
const settings = v.strictObject({
  rules: v.optional(text, EXAMPLE_RULES),
  schedules: v.optional(v.pipe(v.unknown(), v.transform(readSchedules))),
  flexibleWindowMinutes: v.optional(number),
  copierMemoryMb: v.optional(number),
  copierTimeoutMinutes: v.optional(number),
  longWorker: v.optional(v.picklist(['none', 'role', 'fargate'], 'must be none, role or fargate')),
  copierConcurrency: v.optional(number),
  blobsAtOnce: v.optional(number),
  plannerConcurrency: v.optional(number),
  attempts: v.optional(number),
  backoffSeconds: v.optional(number),
  redrives: v.optional(number),
  redriveAfterMinutes: v.optional(number),
  redriveEveryMinutes: v.optional(number),
  webhooks: v.optional(text),
  ecrEvents: v.optional(flag),
  webhookConcurrency: v.optional(number),
  pushedCopierConcurrency: v.optional(number),
  allowedRealms: v.optional(words),
  createEcrRepositories: v.optional(flag),
  email: v.optional(text),
  logRetentionDays: v.optional(number),
  deletionProtection: v.optional(flag),
  kmsKeyArn: v.optional(arn('kms', 'key/[\\w-]+', 'a key, not of an alias')),
  topicArn: v.optional(arn('sns', '[\\w-]+', 'a standard topic of SNS')),
  webhookDomain: v.optional(text),
  webhookCertificateArn: v.optional(arn('acm', 'certificate/[\\w-]+', 'a certificate of ACM')),
});

/** Settings that name something that exists already. The stack makes constructs of them. */
export interface NamedParts {
  kmsKeyArn?: string;
  topicArn?: string;
  /** A domain, and the certificate for it; both or none. */
  webhookDomain?: string;
  webhookCertificateArn?: string;
}

/**
 * The settings in the app's context.
 * @throws TranshipError `config-invalid` naming a setting that does not exist, or that cannot be read
 */
export function propsFromContext(app: App): { props: TranshipProps; parts: NamedParts } {
  const context: Record<string, unknown> = app.node.getAllContext();
  const given = Object.entries(context).filter(([key, value]) => key.startsWith(PREFIX) && value !== '');
  const result = v.safeParse(
    settings,
    Object.fromEntries(given.map(([key, value]) => [key.slice(PREFIX.length), value])),
  );
  if (!result.success) {
    const [issue] = result.issues;
    const name = String(issue.path?.[0].key);
    if (!Object.hasOwn(settings.entries, name)) {
      const known = Object.keys(settings.entries).join(', ');
      throw configurationError(
        `there is no setting ${PREFIX}${name}; the settings are ${known}, each with ${PREFIX} before it`,
      );
    }
    const got = JSON.stringify(context[`${PREFIX}${name}`]);
    throw configurationError(`${PREFIX}${name} ${issue.message}, got ${got}`);
  }
  const { rules, webhooks, logRetentionDays, kmsKeyArn, topicArn, ...rest } = result.output;
  const { webhookDomain, webhookCertificateArn, ...numbers } = rest;
  if ((webhookDomain === undefined) !== (webhookCertificateArn === undefined)) {
    throw configurationError(`${PREFIX}webhookDomain and ${PREFIX}webhookCertificateArn go together`);
  }
  return {
    props: { ...numbers, rulesFile: rules, webhooksFile: webhooks, logRetention: logRetentionDays },
    parts: { kmsKeyArn, topicArn, webhookDomain, webhookCertificateArn },
  };
}

/**
 * The name of the stack.
 * @throws TranshipError `config-invalid` where CloudFormation does not take it
 */
export function stackName(app: App): string {
  const name = String(app.node.tryGetContext('stack') || 'Tranship');
  if (/^[A-Za-z][A-Za-z0-9-]{0,127}$/.test(name)) return name;
  throw configurationError(`stack must be letters, digits and hyphens, and begin with a letter, got ${quote(name)}`);
}

/**
 * Warns where nobody has named a rules file. A deployment without the settings of the last one takes away what they
 * made: the webhook's URL and secret, the topic.
 */
export function warnOfExample(stack: Stack, { rulesFile }: TranshipProps): void {
  if (rulesFile !== EXAMPLE_RULES) return;
  const told =
    `the rules are those of ${EXAMPLE_RULES}, since no others are named: set ${PREFIX}rules, and all other settings of ` +
    'this stack, in the context of cdk.json before you deploy';
  Annotations.of(stack).addWarningV2('tranship:example', told);
}

/** The constructs of {@link NamedParts}. */
export function importParts(stack: Stack, parts: NamedParts): Partial<TranshipProps> {
  const { kmsKeyArn, topicArn, webhookDomain, webhookCertificateArn } = parts;
  const props: Partial<TranshipProps> = {};
  if (kmsKeyArn !== undefined) props.encryptionKey = kms.Key.fromKeyArn(stack, 'GivenKey', kmsKeyArn);
  if (topicArn !== undefined) props.topic = sns.Topic.fromTopicArn(stack, 'GivenTopic', topicArn);
  if (webhookDomain !== undefined && webhookCertificateArn !== undefined) {
    const certificate = acm.Certificate.fromCertificateArn(stack, 'GivenCertificate', webhookCertificateArn);
    props.webhookDomain = { name: webhookDomain, certificate };
  }
  return props;
}

/** @throws TranshipError `config-invalid` naming the key that nobody knows, or is missing */
function readSchedules(given: unknown): RunSchedule[] {
  const name = `${PREFIX}schedules`;
  const nameOf = (path: Array<string | number>) => `${name}${formatPath(path)}`;
  const { value, faults } = check(schedules, parsedJson(given), { nameOf, isSecret: false });
  if (value) return value;
  const [{ path, isKey, what, mend } = { path: [], isKey: false, what: 'cannot be read' }] = faults;
  throw configurationError(isKey ? `${nameOf(path.slice(0, -1))}: ${what}` : what, {
    mend: mend ?? 'write it as [{"name": "nightly", "expression": "cron(0 3 * * ? *)", "timeZone": "UTC"}]',
  });
}

/** JSON text as its value; anything else as it is, for the schema to judge. */
function parsedJson(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
