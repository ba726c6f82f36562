import { Duration, SecretValue, Validations } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets';
import { FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { parseEcrHost } from '../core/registry/ecr-host.ts';
import type { RuleSet } from '../core/rules/model.ts';
import type { LedgerTable } from './ledger-table.ts';
import { PipelineFunction, type PipelineFunctionProps } from './pipeline-function.ts';
import type { Settings } from './props.ts';

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

/** A webhooks file without senders: every URL is unknown. */
const EMPTY_WEBHOOKS_FILE = '{}';

/** Takes push events: by a URL that registries post to, and from ECR in this account by EventBridge. */
export class Webhook extends Construct {
  readonly secret: Secret;
  readonly handler: PipelineFunction;
  /** `https://….lambda-url.….on.aws/`; a sender's own URL is this with `hooks/<source>/<token>`. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: WebhookProps) {
    super(scope, id);
    const { rules, settings, ledger, tasks, plans, missedTriggers, encryptionKey } = props;
    this.secret = new Secret(this, 'Secret', {
      description:
        'Senders of push events to Tranship, a webhooks file: {"hub": {"dialect": "docker-hub", "token": "..."}}',
      // A later deployment leaves the value alone, for as long as this text stays as it is.
      secretStringValue: SecretValue.unsafePlainText(EMPTY_WEBHOOKS_FILE),
      ...(encryptionKey && { encryptionKey }),
    });
    Validations.of(this.secret).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SMG4',
      reason: "Each secret in it is known to a registry's webhook form too; only a person can change both.",
    });
    this.handler = new PipelineFunction(this, 'Handler', {
      ...props,
      name: 'webhook',
      description: 'Takes push events and queues what they lead to',
      // Senders wait for ten seconds at most, and most of them for five.
      timeout: Duration.seconds(10),
      memoryMb: 512,
      // Without it a flood of requests would take the copiers' share of the account's limit.
      reservedConcurrency: settings.webhookConcurrency,
      files: { 'rules.json': JSON.stringify(rules) },
      environment: {
        ...props.environment,
        TRANSHIP_TABLE: ledger.table.tableName,
        TRANSHIP_TASK_QUEUE_URL: tasks.queueUrl,
        TRANSHIP_PLAN_QUEUE_URL: plans.queueUrl,
        TRANSHIP_WEBHOOK_SECRET: this.secret.secretArn,
      },
    });
    this.handler.allow(['secretsmanager:GetSecretValue'], [this.secret.secretArn]);
    this.handler.allow(['sqs:SendMessage'], [tasks.queueArn, plans.queueArn]);
    this.handler.allow(['dynamodb:PutItem'], [ledger.table.tableArn]);
    // Who may post is for the function to say: no sender can sign requests for AWS.
    this.url = this.handler.lambda.addFunctionUrl({ authType: FunctionUrlAuthType.NONE }).url;
    this.#hearEcr(rules, missedTriggers);
  }

  /** ECR tells EventBridge of each push; only of repositories that a rule copies from is the function told. */
  #hearEcr(rules: RuleSet, missedTriggers: IQueue): void {
    const repositories = rules.rules
      .filter((rule) => parseEcrHost(rule.from.registry) !== undefined)
      .map((rule) => rule.from.repository);
    if (repositories.length === 0) return;
    this.handler.lambda.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: Duration.hours(1),
      onFailure: new SqsDestination(missedTriggers),
    });
    new Rule(this, 'EcrPushes', {
      description: 'Tells Tranship of images that were pushed to ECR',
      eventPattern: {
        source: ['aws.ecr'],
        detailType: ['ECR Image Action'],
        detail: {
          'action-type': ['PUSH'],
          result: ['SUCCESS'],
          'repository-name': [...new Set(repositories)],
        },
      },
      targets: [new LambdaTarget(this.handler.lambda, { deadLetterQueue: missedTriggers, retryAttempts: 10 })],
    });
  }
}
