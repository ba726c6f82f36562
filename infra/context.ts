import { type App, aws_certificatemanager as acm, aws_kms as kms, type Stack, aws_sns as sns } from 'aws-cdk-lib';
import type { RunSchedule, TranshipProps } from './props.ts';

const PREFIX = 'tranship:';

/** Settings that are words and numbers can be given as context: `-c tranship:email=…`, or in cdk.json as `"tranship:email": …`. */
const readers = {
  rules: { prop: 'rulesFile', read: String },
  schedules: { prop: 'schedules', read: readSchedules },
  flexibleWindowMinutes: { prop: 'flexibleWindowMinutes', read: Number },
  copierMemoryMb: { prop: 'copierMemoryMb', read: Number },
  copierTimeoutMinutes: { prop: 'copierTimeoutMinutes', read: Number },
  copierConcurrency: { prop: 'copierConcurrency', read: Number },
  blobsAtOnce: { prop: 'blobsAtOnce', read: Number },
  plannerConcurrency: { prop: 'plannerConcurrency', read: Number },
  attempts: { prop: 'attempts', read: Number },
  backoffSeconds: { prop: 'backoffSeconds', read: Number },
  redrives: { prop: 'redrives', read: Number },
  redriveEveryMinutes: { prop: 'redriveEveryMinutes', read: Number },
  webhooks: { prop: 'webhooksFile', read: String },
  ecrEvents: { prop: 'ecrEvents', read: readFlag },
  webhookConcurrency: { prop: 'webhookConcurrency', read: Number },
  pushedCopierConcurrency: { prop: 'pushedCopierConcurrency', read: Number },
  allowedRealms: { prop: 'allowedRealms', read: readWords },
  createEcrRepositories: { prop: 'createEcrRepositories', read: readFlag },
  email: { prop: 'email', read: String },
  logRetentionDays: { prop: 'logRetention', read: Number },
  deletionProtection: { prop: 'deletionProtection', read: readFlag },
} as const satisfies Record<string, { prop: keyof TranshipProps; read: (value: unknown, name: string) => unknown }>;

/** Settings that name something that is there already; made into a construct by the stack. */
export interface NamedParts {
  kmsKeyArn?: string;
  topicArn?: string;
  /** A domain, and the certificate for it; both or none. */
  webhookDomain?: string;
  webhookCertificateArn?: string;
}

const partNames = ['kmsKeyArn', 'topicArn', 'webhookDomain', 'webhookCertificateArn'] as const;

/**
 * The settings that the app's context has.
 * @throws Error naming a setting that nobody knows, or that cannot be read
 */
export function propsFromContext(app: App): { props: TranshipProps; parts: NamedParts } {
  const props: Record<string, unknown> = { rulesFile: 'examples/tranship.yaml' };
  const parts: NamedParts = {};
  const context: Record<string, unknown> = app.node.getAllContext();
  for (const [key, value] of Object.entries(context)) {
    if (!key.startsWith(PREFIX) || value === '') continue;
    const name = key.slice(PREFIX.length);
    const part = partNames.find((one) => one === name);
    if (part !== undefined) {
      parts[part] = String(value);
      continue;
    }
    const reader = Object.hasOwn(readers, name) ? readers[name as keyof typeof readers] : undefined;
    if (!reader) {
      const known = [...Object.keys(readers), ...partNames].join(', ');
      throw new Error(`there is no setting ${key}; the settings are ${known}, each with ${PREFIX} before it`);
    }
    props[reader.prop] = reader.read(value, key);
  }
  if ((parts.webhookDomain === undefined) !== (parts.webhookCertificateArn === undefined)) {
    throw new Error(`${PREFIX}webhookDomain and ${PREFIX}webhookCertificateArn go together`);
  }
  return { props: props as unknown as TranshipProps, parts };
}

/** The constructs of {@link NamedParts}. */
export function importParts(stack: Stack, parts: NamedParts): Partial<TranshipProps> {
  const { kmsKeyArn, topicArn, webhookDomain, webhookCertificateArn } = parts;
  return {
    ...(kmsKeyArn !== undefined && { encryptionKey: kms.Key.fromKeyArn(stack, 'GivenKey', kmsKeyArn) }),
    ...(topicArn !== undefined && { topic: sns.Topic.fromTopicArn(stack, 'GivenTopic', topicArn) }),
    ...(webhookDomain !== undefined &&
      webhookCertificateArn !== undefined && {
        webhookDomain: {
          name: webhookDomain,
          certificate: acm.Certificate.fromCertificateArn(stack, 'GivenCertificate', webhookCertificateArn),
        },
      }),
  };
}

function readFlag(value: unknown, name: string): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new Error(`${name} must be true or false, got ${JSON.stringify(value)}`);
}

function readWords(value: unknown): string[] {
  const words = Array.isArray(value) ? value.map(String) : String(value).split(',');
  return words.map((word) => word.trim()).filter((word) => word !== '');
}

/** A list as in {@link RunSchedule}, as JSON text where it comes from the command line. */
function readSchedules(value: unknown, name: string): RunSchedule[] {
  let list = value;
  try {
    if (typeof value === 'string') list = JSON.parse(value);
  } catch {
    // Told below.
  }
  const isSchedule = (entry: unknown) => {
    const {
      name,
      expression,
      timeZone = '',
      rules = [],
    } = (entry ?? {}) as Partial<Record<keyof RunSchedule, unknown>>;
    const isList = Array.isArray(rules) && rules.every((id) => typeof id === 'string');
    return typeof name === 'string' && typeof expression === 'string' && typeof timeZone === 'string' && isList;
  };
  if (!Array.isArray(list) || !list.every(isSchedule)) {
    throw new Error(
      `${name} must be a list of {"name", "expression", "timeZone"?, "rules"?}, got ${JSON.stringify(value)}`,
    );
  }
  return list as RunSchedule[];
}
