import { Aws, type Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import { ManagedPolicy, PolicyStatement, type PolicyStatementProps, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import {
  ApplicationLogLevel,
  Architecture,
  EventSourceMapping,
  Function as LambdaFunction,
  LoggingFormat,
  RecursiveLoop,
  Runtime,
  SystemLogLevel,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { configurationError } from '../core/model/errors.ts';
import { type FunctionName, functionCode } from './function-code.ts';
import { metricNamespace } from './metric-namespace.ts';
import type { RoleHolder } from './role-holder.ts';
import { textLength } from './text-length.ts';

export interface PipelineFunctionProps {
  name: FunctionName;
  description: string;
  timeout: Duration;
  memoryMb: number;
  environment: Record<string, string>;
  logRetention: RetentionDays;
  /** Texts that ship beside the code, by file name. */
  files?: Record<string, string>;
  encryptionKey?: IKey;
  vpc?: IVpc;
  /** Invocations at once; the function has no more, and no less. @default no such share */
  reservedConcurrency?: number;
  /** Its messages may lead to new ones for itself, more than 16 in a row. @default false */
  loops?: boolean;
}

/**
 * One function of the pipeline, with a role and a log group of its own. It may do nothing but write its log, until it
 * is allowed more.
 */
export class PipelineFunction extends Construct implements RoleHolder {
  readonly lambda: LambdaFunction;
  readonly logGroup: LogGroup;
  readonly #role: Role;

  constructor(scope: Construct, id: string, props: PipelineFunctionProps) {
    super(scope, id);
    this.logGroup = new LogGroup(this, 'Log', {
      retention: props.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(props.encryptionKey && { encryptionKey: props.encryptionKey }),
    });
    this.#role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    this.allow(['logs:CreateLogStream', 'logs:PutLogEvents'], [this.logGroup.logGroupArn]);
    if (props.vpc) {
      const managed = 'service-role/AWSLambdaVPCAccessExecutionRole';
      this.#role.addManagedPolicy(ManagedPolicy.fromAwsManagedPolicyName(managed));
      this.acknowledge(
        `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${managed}]`,
        'Lambda asks for this policy to put a function into a VPC; network interfaces have no names beforehand.',
      );
    }
    if (props.encryptionKey) {
      props.encryptionKey.grantEncryptDecrypt(this.#role);
      // DynamoDB asks for it too:
      // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
      this.allow(['kms:DescribeKey'], [props.encryptionKey.keyArn]);
      for (const action of ['kms:GenerateDataKey*', 'kms:ReEncrypt*']) {
        this.acknowledge(`AwsSolutions-IAM5[Action::${action}]`, 'Variants of one right on one key.');
      }
    }
    const environment = {
      POWERTOOLS_SERVICE_NAME: props.name,
      POWERTOOLS_METRICS_NAMESPACE: metricNamespace(this),
      ...props.environment,
    };
    checkVariables(this, props.name, environment);
    this.lambda = new LambdaFunction(this, 'Function', {
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: functionCode(props.name, props.files),
      role: this.#role,
      timeout: props.timeout,
      memorySize: props.memoryMb,
      logGroup: this.logGroup,
      loggingFormat: LoggingFormat.JSON,
      applicationLogLevelV2: ApplicationLogLevel.INFO,
      systemLogLevelV2: SystemLogLevel.WARN,
      environment,
      ...(props.encryptionKey && { environmentEncryption: props.encryptionKey }),
      ...(props.vpc && { vpc: props.vpc }),
      reservedConcurrentExecutions: props.reservedConcurrency,
      recursiveLoop: props.loops ? RecursiveLoop.ALLOW : undefined,
    });
  }

  allow(actions: string[], resources: string[], conditions?: PolicyStatementProps['conditions']): void {
    this.#role.addToPrincipalPolicy(new PolicyStatement({ actions, resources, conditions }));
  }

  acknowledge(finding: string, reason: string): void {
    Validations.of(this.#role).acknowledge({ id: `AwsSolutions::${finding}`, reason });
  }

  /** Has Lambda call the function for each message, one at a time and at most `concurrency` at once. */
  readQueue(id: string, queue: IQueue, concurrency: number): void {
    this.allow(
      ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'],
      [queue.queueArn],
    );
    new EventSourceMapping(this, id, {
      target: this.lambda,
      eventSourceArn: queue.queueArn,
      batchSize: 1,
      reportBatchItemFailures: true,
      maxConcurrency: concurrency,
    });
  }
}

/** Of all variables of a function: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html */
const VARIABLES_BYTES = 4096;

/** @throws TranshipError `config-invalid` where Lambda would refuse the variables. Two settings make them long. */
function checkVariables(scope: Construct, name: FunctionName, variables: Record<string, string>): void {
  const bytes = Object.entries(variables).reduce((sum, [key, value]) => sum + key.length + textLength(scope, value), 0);
  if (bytes <= VARIABLES_BYTES) return;
  throw configurationError(
    `allowedRealms and loginSecrets are too long: with them the variables of the ${name} take ${bytes} bytes`,
    { mend: `Lambda takes ${VARIABLES_BYTES}: name fewer hosts, or put several logins into one secret` },
  );
}

/** The ARN of any region, where a rule names a registry of another one. */
export function arnOf(parts: { service: string; region: string; account: string; resource: string }): string {
  return `arn:${Aws.PARTITION}:${parts.service}:${parts.region}:${parts.account}:${parts.resource}`;
}
