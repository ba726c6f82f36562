import { Duration, SecretValue, Validations } from 'aws-cdk-lib';
import { FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { RuleSet } from '../core/model/rule.ts';
import { EcrPushes } from './ecr-pushes.ts';
import { allowLedger } from './ledger-access.ts';
import type { LedgerTable } from './ledger-table.ts';
import { PipelineFunction, type PipelineFunctionProps } from './pipeline-function.ts';
import type { Settings } from './props.ts';
import { readSenders, type Senders } from './senders.ts';
import { WebhookDomain } from './webhook-domain.ts';

/** What an HTTP API passes on where `webhookConcurrency` is not set: what so many invocations can answer. */
const DEFAULT_CONCURRENCY = 10;

export interface WebhookProps extends Pick<PipelineFunctionProps, 'logRetention' | 'encryptionKey' | 'vpc'> {
  rules: RuleSet;
  settings: Settings;
  /** What retries and waits the functions have in common. */
  environment: Record<string, string>;
  ledger: LedgerTable;
  tasks: IQueue;
  plans: IQueue;
  /** Takes events of ECR that could not be handled. */
  missedTriggers: IQueue;
}

/** Where registries post to. */
export interface WebhookAddress {
  /** `https://…/`; a sender's own URL is this with `hooks/<source>/<token>`. */
  url: string;
  /** The URLs by the senders' names, with `<token>` for the token. */
  senderUrls: Record<string, string>;
  /** Holds the values of the variables in the webhooks file. */
  secret: Secret;
  /** Their names. */
  variables: string[];
  /** What a domain of one's own must be a CNAME of. */
  domainTarget: string | undefined;
}

/** Takes push events: by a URL that registries post to, and from ECR in this account by EventBridge. */
export class Webhook extends Construct {
  readonly handler: PipelineFunction;
  /** Where there is a webhooks file. */
  readonly address: WebhookAddress | undefined;

  constructor(scope: Construct, id: string, props: WebhookProps) {
    super(scope, id);
    const { rules, settings, ledger, tasks, plans, missedTriggers } = props;
    const { webhooksFile, ecrEvents } = settings;
    const senders = webhooksFile === undefined ? undefined : readSenders(webhooksFile);
    const secret = senders && this.#secret(props);
    this.handler = new PipelineFunction(this, 'Handler', {
      ...props,
      name: 'webhook',
      description: 'Takes push events and queues what they lead to',
      // Senders wait for ten seconds at most, and most of them for five.
      timeout: Duration.seconds(10),
      memoryMb: 512,
      // With it, a flood of requests cannot take the copiers' share of the account's limit.
      reservedConcurrency: settings.webhookConcurrency,
      files: { 'rules.json': JSON.stringify(rules), 'senders.json': JSON.stringify(senders?.entries ?? {}) },
      environment: {
        ...props.environment,
        TRANSHIP_TABLE: ledger.table.tableName,
        TRANSHIP_TASK_QUEUE_URL: tasks.queueUrl,
        TRANSHIP_PLAN_QUEUE_URL: plans.queueUrl,
        ...(secret && { TRANSHIP_WEBHOOK_SECRET: secret.secretArn }),
      },
    });
    if (secret) this.handler.allow(['secretsmanager:GetSecretValue'], [secret.secretArn]);
    this.handler.allow(['sqs:SendMessage'], [tasks.queueArn, plans.queueArn]);
    allowLedger(this.handler, 'webhook', ledger);
    this.address = senders && secret && this.#open(senders, secret, props);
    if (ecrEvents) {
      const { encryptionKey } = props;
      new EcrPushes(this, 'EcrPushes', { rules, handler: this.handler.lambda, missedTriggers, encryptionKey });
    }
  }

  #secret({ encryptionKey }: WebhookProps): Secret {
    const secret = new Secret(this, 'Secret', {
      // Without the variables' names, which change: 2,048 characters are its limit.
      description: 'Values of the variables in Tranship\'s webhooks file, a JSON object: {"NAME": "value", ...}',
      // A later deployment leaves the value alone for as long as this text stays as it is.
      secretStringValue: SecretValue.unsafePlainText('{}'),
      encryptionKey,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SMG4',
      reason: "Each value in it is known to a registry's webhook form too; only a person can change both.",
    });
    return secret;
  }

  #open(
    { senders, variables }: Senders,
    secret: Secret,
    { settings, logRetention, encryptionKey }: WebhookProps,
  ): WebhookAddress {
    const { webhookDomain, webhookConcurrency } = settings;
    const handler = this.handler.lambda;
    const domain =
      webhookDomain &&
      new WebhookDomain(this, 'Domain', {
        domain: webhookDomain,
        handler,
        concurrency: webhookConcurrency ?? DEFAULT_CONCURRENCY,
        logRetention,
        encryptionKey,
      });
    // Who may post is for the function to say: no sender can sign requests for AWS.
    const url = domain?.url ?? handler.addFunctionUrl({ authType: FunctionUrlAuthType.NONE }).url;
    const senderUrls = senders.map(({ name, urlTokens }) => [
      name,
      `${url}hooks/${name}${urlTokens.length === 0 ? '' : '/<token>'}`,
    ]);
    return { url, secret, variables, senderUrls: Object.fromEntries(senderUrls), domainTarget: domain?.target };
  }
}
