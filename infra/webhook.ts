import { Annotations, Duration, SecretValue, Validations } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets';
import { FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { RuleSet } from '../core/model/rule.ts';
import { parseEcrHost } from '../core/registry/ecr-host.ts';
import type { LedgerTable } from './ledger-table.ts';
import { PipelineFunction, type PipelineFunctionProps } from './pipeline-function.ts';
import type { Settings } from './props.ts';
import { readSenders, type Senders } from './senders.ts';
import { WebhookDomain } from './webhook-domain.ts';

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
    const secret = senders && this.#secret(senders, props);
    this.handler = new PipelineFunction(this, 'Handler', {
      ...props,
      name: 'webhook',
      description: 'Takes push events and queues what they lead to',
      // Senders wait for ten seconds at most, and most of them for five.
      timeout: Duration.seconds(10),
      memoryMb: 512,
      // Without it a flood of requests would take the copiers' share of the account's limit.
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
    this.handler.allow(['dynamodb:PutItem'], [ledger.table.tableArn]);
    this.address = senders && secret && this.#open(senders, secret, props);
    if (ecrEvents) this.#hearEcr(rules, missedTriggers);
  }

  #secret({ variables }: Senders, { encryptionKey }: WebhookProps): Secret {
    const secret = new Secret(this, 'Secret', {
      description: `For Tranship's webhooks file, a JSON object: {${variables.map((name) => `"${name}": "..."`).join(', ')}}`,
      // A later deployment leaves the value alone, for as long as this text stays as it is.
      secretStringValue: SecretValue.unsafePlainText('{}'),
      encryptionKey,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SMG4',
      reason: "Each value in it is known to a registry's webhook form too; only a person can change both.",
    });
    return secret;
  }

  #open({ sources }: Senders, secret: Secret, { settings, logRetention, encryptionKey }: WebhookProps): WebhookAddress {
    const { webhookDomain, webhookConcurrency } = settings;
    const handler = this.handler.lambda;
    const domain =
      webhookDomain &&
      new WebhookDomain(this, 'Domain', {
        domain: webhookDomain,
        handler,
        concurrency: webhookConcurrency,
        logRetention,
        encryptionKey,
      });
    // Who may post is for the function to say: no sender can sign requests for AWS.
    const url = domain?.url ?? handler.addFunctionUrl({ authType: FunctionUrlAuthType.NONE }).url;
    const senderUrls = sources.map(({ name, urlTokens }) => [
      name,
      `${url}hooks/${name}${urlTokens.length === 0 ? '' : '/<token>'}`,
    ]);
    return { url, secret, senderUrls: Object.fromEntries(senderUrls), domainTarget: domain?.target };
  }

  /** ECR tells EventBridge of each push; only of repositories that a rule copies from is the function told. */
  #hearEcr(rules: RuleSet, missedTriggers: IQueue): void {
    const repositories = rules.rules
      .filter((rule) => parseEcrHost(rule.from.registry) !== undefined)
      .map((rule) => rule.from.repository);
    if (repositories.length === 0) {
      Annotations.of(this).addWarningV2('tranship:ecr', 'ecrEvents: no rule copies from a private ECR registry');
      return;
    }
    this.handler.lambda.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: Duration.hours(1),
      onFailure: new SqsDestination(missedTriggers),
    });
    new Rule(this, 'EcrPushes', {
      description: 'Tells Tranship of images that were pushed to ECR',
      eventPattern: {
        source: ['aws.ecr'],
        // What is replicated here is told of by an event of its own.
        detailType: ['ECR Image Action', 'ECR Replication Action'],
        detail: {
          'action-type': ['PUSH', 'REPLICATE'],
          result: ['SUCCESS'],
          'repository-name': [...new Set(repositories)],
        },
      },
      targets: [new LambdaTarget(this.handler.lambda, { deadLetterQueue: missedTriggers, retryAttempts: 10 })],
    });
  }
}
