import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AdjustmentType, StepScalingAction } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Alarm, ComparisonOperator, MathExpression, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { type IVpc, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { DockerImageAsset, Platform } from 'aws-cdk-lib/aws-ecr-assets';
import {
  Cluster,
  ContainerImage,
  ContainerInsights,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
  OperatingSystemFamily,
  type ScalableTaskCount,
} from 'aws-cdk-lib/aws-ecs';
import type { Role } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { workerImageFolder } from './function-code.ts';
import { metricNamespace } from './metric-namespace.ts';

/** One CPU moves 280 MiB a second, more than the registries that such layers come from. */
const CPU = 1024;
/** Fargate has 2 to 8 GB, in whole ones, for one CPU. */
const LEAST_MEMORY_MB = 2048;
const MOST_MEMORY_MB = 8192;
/** A blob on its way to two destinations that take it in chunks, and to ECR in the longest. */
const BLOB_MEMORY_MB = 80;
const BASE_MEMORY_MB = 512;
const PERIOD = Duration.minutes(1);
/** So long there is neither a message that waits nor one that is worked on. */
const IDLE_MINUTES = 10;

export interface LongWorkerServiceProps {
  /** What the container may do. */
  role: Role;
  /** Its tasks come from here. */
  longTasks: IQueue;
  /** As the copier's. */
  environment: Record<string, string>;
  blobsAtOnce: number;
  logRetention: RetentionDays;
  encryptionKey?: IKey;
  vpc?: IVpc;
}

/**
 * A container that is there while long tasks are: from none to one when a message waits, and back when none waits and
 * none is worked on. So the way back stops no work: a message that a worker has counts as in flight until it is deleted.
 */
export class LongWorkerService extends Construct {
  constructor(scope: Construct, id: string, props: LongWorkerServiceProps) {
    super(scope, id);
    const { longTasks, vpc } = props;
    const cluster = new Cluster(this, 'Cluster', {
      vpc: vpc ?? this.#network(),
      containerInsightsV2: ContainerInsights.DISABLED,
    });
    Validations.of(cluster).acknowledge({
      id: 'AwsSolutions::AwsSolutions-ECS4',
      reason:
        "The worker's metrics are summed with those of the functions; Container Insights would cost more than the container.",
    });
    const service = new FargateService(this, 'Service', {
      cluster,
      taskDefinition: this.#task(props),
      desiredCount: 0,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      assignPublicIp: vpc === undefined,
      vpcSubnets: { subnetType: vpc === undefined ? SubnetType.PUBLIC : SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: [
        new SecurityGroup(this, 'Outgoing', {
          vpc: cluster.vpc,
          description: 'Long workers of Tranship: nobody connects to them',
          allowAllOutbound: true,
        }),
      ],
    });
    this.#scale(longTasks, service.autoScaleTaskCount({ minCapacity: 0, maxCapacity: 1 }));
  }

  /** Public subnets, since a NAT gateway costs $32 a month: nothing can connect to what runs there. */
  #network(): IVpc {
    const network = new Vpc(this, 'Network', {
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: 'Public', subnetType: SubnetType.PUBLIC, cidrMask: 24 }],
      restrictDefaultSecurityGroup: false,
    });
    Validations.of(network).acknowledge({
      id: 'AwsSolutions::AwsSolutions-VPC7',
      reason: 'One container that nobody can connect to, and that says in its log what it asks which registry for.',
    });
    return network;
  }

  #task(props: LongWorkerServiceProps): FargateTaskDefinition {
    const { role, environment, blobsAtOnce, logRetention, encryptionKey } = props;
    const definition = new FargateTaskDefinition(this, 'Task', {
      cpu: CPU,
      memoryLimitMiB: memoryFor(blobsAtOnce),
      runtimePlatform: { cpuArchitecture: CpuArchitecture.ARM64, operatingSystemFamily: OperatingSystemFamily.LINUX },
      taskRole: role,
    });
    const image = new DockerImageAsset(this, 'Image', {
      directory: workerImageFolder(this),
      platform: Platform.LINUX_ARM64,
    });
    const logGroup = new LogGroup(this, 'Log', {
      retention: logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(encryptionKey && { encryptionKey }),
    });
    definition.addContainer('Worker', {
      image: ContainerImage.fromDockerImageAsset(image),
      logging: LogDrivers.awsLogs({ logGroup, streamPrefix: 'worker' }),
      readonlyRootFilesystem: true,
      stopTimeout: Duration.seconds(60),
      environment: {
        POWERTOOLS_SERVICE_NAME: 'worker',
        POWERTOOLS_METRICS_NAMESPACE: metricNamespace(this),
        ...environment,
      },
    });
    Validations.of(definition).acknowledge({
      id: 'AwsSolutions::AwsSolutions-ECS2',
      reason: 'The variables name queues, a table and secrets, and hold none; they change with the stack.',
    });
    const pullsImage = definition.obtainExecutionRole();
    Validations.of(pullsImage).acknowledge({
      id: 'AwsSolutions::AwsSolutions-IAM5[Resource::*]',
      reason: 'ecr:GetAuthorizationToken has no resource to name.',
    });
    return definition;
  }

  #scale(longTasks: IQueue, scalingTarget: ScalableTaskCount): void {
    const waiting = longTasks.metricApproximateNumberOfMessagesVisible({ period: PERIOD, statistic: 'Maximum' });
    const inFlight = longTasks.metricApproximateNumberOfMessagesNotVisible({ period: PERIOD, statistic: 'Maximum' });
    const start = this.#setTo(1, scalingTarget);
    const wanted = new Alarm(this, 'Wanted', {
      alarmDescription: 'Starts the long worker: a task waits for it',
      metric: waiting,
      threshold: 1,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    wanted.addAlarmAction(new ApplicationScalingAction(start));
    const stop = this.#setTo(0, scalingTarget);
    const idle = new Alarm(this, 'Idle', {
      alarmDescription:
        'Stops the long worker: no task waits, and none is worked on. Rings nobody, whatever its colour',
      metric: new MathExpression({
        expression: 'FILL(waiting, 0) + FILL(inFlight, 0)',
        usingMetrics: { waiting, inFlight },
        period: PERIOD,
        label: 'long tasks',
      }),
      threshold: 1,
      evaluationPeriods: IDLE_MINUTES,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      // SQS writes no metrics of a queue that is not used for hours.
      treatMissingData: TreatMissingData.BREACHING,
    });
    idle.addAlarmAction(new ApplicationScalingAction(stop));
  }

  #setTo(count: 0 | 1, scalingTarget: ScalableTaskCount): StepScalingAction {
    const action = new StepScalingAction(this, count === 1 ? 'Start' : 'Stop', {
      scalingTarget,
      adjustmentType: AdjustmentType.EXACT_CAPACITY,
    });
    action.addAdjustment({ adjustment: count, ...(count === 1 ? { lowerBound: 0 } : { upperBound: 0 }) });
    return action;
  }
}

/** Of the container, in MB. */
function memoryFor(blobsAtOnce: number): number {
  const gigabytes = Math.ceil((BASE_MEMORY_MB + blobsAtOnce * BLOB_MEMORY_MB) / 1024);
  return Math.min(MOST_MEMORY_MB, Math.max(LEAST_MEMORY_MB, gigabytes * 1024));
}
