import { Annotations, Aws, Duration, Validations } from 'aws-cdk-lib';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { type IQueue, Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { RuleSet } from '../core/model/rule.ts';
import type { WorkerSettings } from '../functions/worker/settings.ts';
import { Alarms } from './alarms.ts';
import { Dashboard } from './dashboard.ts';
import { allowEcr, allowEcrCatalogs } from './ecr-access.ts';
import { allowLedger } from './ledger-access.ts';
import { LedgerTable } from './ledger-table.ts';
import { Logins } from './logins.ts';
import { LongWorker } from './long-worker.ts';
import { claimNamespace } from './metric-namespace.ts';
import { NoticeTopic } from './notice-topic.ts';
import { PipelineFunction, type PipelineFunctionProps } from './pipeline-function.ts';
import type { PipelineParts } from './pipeline-parts.ts';
import { type Settings, settingsOf, type TranshipProps } from './props.ts';
import { QueueWithDeadLetters, queueSettings } from './queue-with-dead-letters.ts';
import type { RoleHolder } from './role-holder.ts';
import { readRules } from './rules.ts';
import { Schedules } from './schedules.ts';
import { Webhook } from './webhook.ts';

const PLANNER_TIMEOUT = Duration.minutes(15);
const REDRIVE_TIMEOUT = Duration.minutes(5);

/**
 * The pipeline: planner, copiers and redrive with their queues, ledger, logins, schedules and alarms.
 *
 * @throws TranshipError `config-invalid` where the rules file, or a setting, cannot be used
 */
export class Tranship extends Construct implements PipelineParts {
  readonly rules: RuleSet;
  readonly ledger: LedgerTable;
  readonly logins: Logins;
  readonly tasks: QueueWithDeadLetters;
  /** Tasks of announced tags: they do not wait behind those of a long run. */
  readonly pushedTasks: QueueWithDeadLetters | undefined;
  /** Tasks that take longer than a copier has. They wait there for a long worker. */
  readonly longTasks: QueueWithDeadLetters;
  readonly plans: QueueWithDeadLetters;
  readonly missedTriggers: IQueue;
  readonly topic: ITopic | undefined;
  readonly planner: PipelineFunction;
  readonly copier: PipelineFunction;
  readonly redrive: PipelineFunction;
  readonly webhook: Webhook | undefined;
  readonly longWorker: LongWorker | undefined;
  /** The secrets that logins are read from, the stack's own first. */
  readonly loginSecrets: readonly ISecret[];
  readonly allowedRealms: readonly string[];
  /** What `tranship worker` must know of the settings. */
  readonly workerSettings: WorkerSettings;

  constructor(scope: Construct, id: string, props: TranshipProps) {
    super(scope, id);
    claimNamespace(this);
    this.rules = readRules(props.rulesFile);
    for (const warning of this.rules.warnings) Annotations.of(this).addWarningV2('tranship:rules', warning);
    if (this.rules.schedules && props.schedules === undefined) {
      const told =
        'schedule: in the rules is for tranship serve; the stack goes by its setting schedules, which is not set';
      Annotations.of(this).addWarningV2('tranship:schedules', told);
    }
    const settings = settingsOf(props, this.rules);
    const { encryptionKey, vpc, logRetention } = settings;
    const copierTimeout = Duration.minutes(settings.copierTimeoutMinutes);

    this.ledger = new LedgerTable(this, 'Ledger', settings);
    this.logins = new Logins(this, 'Logins', { encryptionKey });
    this.loginSecrets = [this.logins.secret, ...settings.loginSecrets];
    this.allowedRealms = settings.allowedRealms;
    const { attempts, backoffSeconds, createEcrRepositories } = settings;
    this.workerSettings = { attempts, backoffSeconds, createEcrRepositories };
    this.tasks = new QueueWithDeadLetters(this, 'Tasks', { functionTimeout: copierTimeout, encryptionKey });
    this.pushedTasks =
      settings.webhooksFile !== undefined || settings.ecrEvents
        ? new QueueWithDeadLetters(this, 'PushedTasks', {
            functionTimeout: copierTimeout,
            deadLetters: this.tasks.deadLetters,
            encryptionKey,
          })
        : undefined;
    this.longTasks = new QueueWithDeadLetters(this, 'LongTasks', {
      // A worker renews this while it works.
      functionTimeout: Duration.minutes(1),
      deadLetters: this.tasks.deadLetters,
      encryptionKey,
    });
    this.plans = new QueueWithDeadLetters(this, 'Plans', { functionTimeout: PLANNER_TIMEOUT, encryptionKey });
    this.missedTriggers = new Queue(this, 'MissedTriggers', queueSettings(encryptionKey));
    Validations.of(this.missedTriggers).acknowledge({
      id: 'AwsSolutions::AwsSolutions-SQS3',
      reason: 'It is the dead-letter queue of the schedules, which cdk-nag does not see; an alarm watches it.',
    });
    // Log groups can only use a key whose policy names the log service.
    encryptionKey?.grantEncryptDecrypt(new ServicePrincipal(`logs.${Aws.REGION}.${Aws.URL_SUFFIX}`));
    this.topic =
      settings.topic ??
      (settings.email === undefined
        ? undefined
        : new NoticeTopic(this, 'Notices', { email: settings.email, encryptionKey }).topic);

    const common = { logRetention, encryptionKey, vpc };
    this.planner = this.#planner(settings, common);
    this.copier = this.#copier(settings, common, copierTimeout);
    this.redrive = this.#redrive(settings, common);
    this.longWorker = this.#longWorker(settings, common);
    this.webhook = this.pushedTasks
      ? new Webhook(this, 'Webhook', {
          ...common,
          rules: this.rules,
          settings,
          environment: retryVariables(settings),
          ledger: this.ledger,
          tasks: this.pushedTasks.queue,
          plans: this.plans.queue,
          missedTriggers: this.missedTriggers,
        })
      : undefined;

    new Schedules(this, 'Schedules', {
      settings,
      planner: this.planner.lambda,
      redrive: this.redrive.lambda,
      missedTriggers: this.missedTriggers,
    });
    new Alarms(this, 'Alarms', { parts: this, settings });
    new Dashboard(this, 'Dashboard', this);
  }

  #planner(settings: Settings, common: Common): PipelineFunction {
    const bus = settings.eventBus ?? EventBus.fromEventBusName(this, 'DefaultBus', 'default');
    const planner = new PipelineFunction(this, 'Planner', {
      ...common,
      name: 'planner',
      // A page leads to the next one, a look for a run's end to the next look.
      loops: true,
      description: 'Expands rules into tasks, and sees that runs end',
      timeout: PLANNER_TIMEOUT,
      // The tags of a large repository are held at once, some 200 bytes each.
      memoryMb: 1024,
      files: { 'rules.json': JSON.stringify(this.rules) },
      environment: {
        ...this.#registryVariables(settings),
        ...retryVariables(settings),
        TRANSHIP_PLAN_QUEUE_URL: this.plans.queue.queueUrl,
        TRANSHIP_TASK_QUEUE_URL: this.tasks.queue.queueUrl,
        ...this.#pushedTaskVariable(),
        TRANSHIP_EVENT_BUS: bus.eventBusName,
        ...(this.topic && { TRANSHIP_TOPIC_ARN: this.topic.topicArn }),
      },
    });
    planner.readQueue('Messages', this.plans.queue, settings.plannerConcurrency);
    planner.allow(['sqs:SendMessage'], [this.plans.queue.queueArn, ...this.#taskQueues()]);
    allowLedger(planner, 'planner', this.ledger);
    planner.allow(['events:PutEvents'], [bus.eventBusArn]);
    if (this.topic) {
      planner.allow(['sns:Publish'], [this.topic.topicArn]);
      // The key of a given topic is not the stack's.
      const key = this.topic.masterKey;
      if (key && key !== settings.encryptionKey) {
        planner.allow(['kms:Decrypt', 'kms:GenerateDataKey'], [key.keyArn]);
      }
    }
    this.#allowRegistries(planner, settings, 'pull');
    return planner;
  }

  #copier(settings: Settings, common: Common, timeout: Duration): PipelineFunction {
    const copier = new PipelineFunction(this, 'Copier', {
      ...common,
      name: 'copier',
      // What waits or is tried again is a new message.
      loops: true,
      description: 'Makes the destinations of one source tag equal to it',
      timeout,
      memoryMb: settings.copierMemoryMb,
      environment: {
        ...this.#copyingVariables(settings),
        TRANSHIP_TASK_QUEUE_URL: this.tasks.queue.queueUrl,
        ...this.#pushedTaskVariable(),
      },
    });
    copier.readQueue('Messages', this.tasks.queue, settings.copierConcurrency);
    if (this.pushedTasks) copier.readQueue('PushedMessages', this.pushedTasks.queue, settings.pushedCopierConcurrency);
    copier.allow(['sqs:SendMessage'], this.#taskQueues());
    this.#allowCopying(copier, settings);
    return copier;
  }

  #longWorker(settings: Settings, common: Common): LongWorker | undefined {
    const { longWorker: kind, blobsAtOnce } = settings;
    if (kind === 'none') return undefined;
    const environment = this.#copyingVariables(settings);
    const worker = new LongWorker(this, 'LongWorker', {
      ...common,
      kind,
      longTasks: this.longTasks.queue,
      environment,
      blobsAtOnce,
    });
    this.#allowCopying(worker, settings);
    return worker;
  }

  #redrive(settings: Settings, common: Common): PipelineFunction {
    const redrive = new PipelineFunction(this, 'Redrive', {
      ...common,
      name: 'redrive',
      description: 'Tries dead letters again, or fails their tags for good',
      timeout: REDRIVE_TIMEOUT,
      memoryMb: 512,
      environment: {
        ...retryVariables(settings),
        TRANSHIP_TABLE: this.ledger.table.tableName,
        TRANSHIP_TASK_QUEUE_URL: this.tasks.queue.queueUrl,
        TRANSHIP_DEAD_LETTER_QUEUE_URL: this.tasks.deadLetters.queueUrl,
        TRANSHIP_LONG_TASK_QUEUE_URL: this.longTasks.queue.queueUrl,
        TRANSHIP_PLAN_QUEUE_URL: this.plans.queue.queueUrl,
        TRANSHIP_PLAN_DEAD_LETTER_QUEUE_URL: this.plans.deadLetters.queueUrl,
      },
    });
    redrive.allow(
      ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility'],
      [this.tasks.deadLetters.queueArn, this.plans.deadLetters.queueArn],
    );
    redrive.allow(
      ['sqs:SendMessage'],
      [this.tasks.queue.queueArn, this.longTasks.queue.queueArn, this.plans.queue.queueArn],
    );
    allowLedger(redrive, 'redrive', this.ledger);
    return redrive;
  }

  #taskQueues(): string[] {
    return [this.tasks, this.pushedTasks].flatMap((queues) => queues?.queue.queueArn ?? []);
  }

  #pushedTaskVariable(): Record<string, string> {
    return this.pushedTasks ? { TRANSHIP_PUSHED_TASK_QUEUE_URL: this.pushedTasks.queue.queueUrl } : {};
  }

  /** What a function needs that talks to registries. */
  #registryVariables(settings: Settings): Record<string, string> {
    return {
      TRANSHIP_TABLE: this.ledger.table.tableName,
      TRANSHIP_AUTH_SECRETS: this.loginSecrets.map((secret) => secret.secretArn).join(','),
      ...(settings.allowedRealms.length > 0 && { TRANSHIP_ALLOWED_REALMS: settings.allowedRealms.join(',') }),
    };
  }

  /** What a copier needs, be it a function or a long worker; the queue that it reads comes besides. */
  #copyingVariables(settings: Settings): Record<string, string> {
    return {
      ...this.#registryVariables(settings),
      ...retryVariables(settings),
      TRANSHIP_DEAD_LETTER_QUEUE_URL: this.tasks.deadLetters.queueUrl,
      TRANSHIP_LONG_TASK_QUEUE_URL: this.longTasks.queue.queueUrl,
      TRANSHIP_BLOBS_AT_ONCE: String(settings.blobsAtOnce),
      ...(settings.createEcrRepositories && { TRANSHIP_CREATE_ECR_REPOSITORIES: 'true' }),
    };
  }

  #allowCopying(target: RoleHolder, settings: Settings): void {
    target.allow(['sqs:SendMessage'], [this.longTasks.queue.queueArn, this.tasks.deadLetters.queueArn]);
    allowLedger(target, 'copier', this.ledger);
    this.#allowRegistries(target, settings, 'push');
  }

  #allowRegistries(target: RoleHolder, settings: Settings, access: 'pull' | 'push'): void {
    for (const secret of this.loginSecrets) {
      // A secret that is given by name has an ARN with six characters more than its name tells; this one is exact.
      target.allow(['secretsmanager:GetSecretValue'], [secret.secretFullArn ?? `${secret.secretArn}-??????`]);
      const key = secret.encryptionKey;
      if (key && key !== settings.encryptionKey) target.allow(['kms:Decrypt'], [key.keyArn]);
    }
    allowEcr(target, this.rules, { access, createRepositories: settings.createEcrRepositories });
    if (access === 'pull') allowEcrCatalogs(target, this.rules);
  }
}

type Common = Pick<PipelineFunctionProps, 'logRetention' | 'encryptionKey' | 'vpc'>;

function retryVariables(settings: Settings): Record<string, string> {
  return {
    TRANSHIP_ATTEMPTS: String(settings.attempts),
    TRANSHIP_BACKOFF_SECONDS: String(settings.backoffSeconds),
    TRANSHIP_REDRIVES: String(settings.redrives),
    TRANSHIP_REDRIVE_AFTER_SECONDS: String(settings.redriveAfterMinutes * 60),
  };
}
