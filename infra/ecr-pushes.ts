import { Annotations, Duration } from 'aws-cdk-lib';
import { CfnRule, type CfnRuleProps } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { RuleSet } from '../core/model/rule.ts';
import { parseEcrHost } from '../core/registry/ecr-host.ts';
import { foldNames } from './fold-names.ts';

export interface EcrPushesProps {
  rules: RuleSet;
  handler: LambdaFunction;
  /** Takes events that could not be handled. */
  missedTriggers: IQueue;
  /** Of that queue. */
  encryptionKey?: IKey;
}

/**
 * The longest event pattern; of the same size are the names in one rule.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
 */
const PATTERN_CHARACTERS = 2_048;
/**
 * A bus has 300 rules for all who use it. The policy of a function holds 20 KB, which is 60 rules that may invoke it,
 * and that of a queue 8 KB.
 */
const MOST_RULES = 40;
/** `{"prefix":""},`; an exact name costs less. */
const NAME_CHARACTERS = 14;

/**
 * ECR tells EventBridge of each push. The function hears of pushes to repositories that a rule copies from, and of
 * deletions where a rule has them follow; of no others.
 */
export class EcrPushes extends Construct {
  constructor(scope: Construct, id: string, { rules, handler, missedTriggers, encryptionKey }: EcrPushesProps) {
    super(scope, id);
    const sources = rules.rules.filter(({ from }) => parseEcrHost(from.registry));
    const repositories = new Set(
      sources.map(({ from: { repository }, discover }) =>
        discover === undefined ? repository : repository === '' ? '*' : `${repository}/*`,
      ),
    );
    const actions = ['PUSH', 'REPLICATE', ...(sources.some((rule) => rule.delete) ? ['DELETE'] : [])];
    if (repositories.size === 0) {
      Annotations.of(this).addWarningV2('tranship:ecr', 'ecrEvents: no rule copies from a private ECR registry');
      return;
    }
    handler.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: Duration.hours(1),
      onFailure: new SqsDestination(missedTriggers),
    });
    const target = {
      id: 'Target0',
      arn: handler.functionArn,
      deadLetterConfig: { arn: missedTriggers.queueArn },
      retryPolicy: { maximumRetryAttempts: 10 },
    };
    const eventRules = patterns(repositories, actions).map((eventPattern, n) => {
      const name = n === 0 ? 'Rule' : `Rule${n}`;
      const rule = new CfnRule(this, name, {
        description: 'Tells Tranship of images that were pushed to ECR',
        eventPattern,
        state: 'ENABLED',
        targets: [target],
      });
      handler.addPermission(`${id}${name}`, {
        principal: new ServicePrincipal('events.amazonaws.com'),
        sourceArn: rule.attrArn,
        scope: this,
      });
      return rule.attrArn;
    });
    const eventBridge = new ServicePrincipal('events.amazonaws.com');
    // EventBridge drops what it cannot deliver where it may not use the key of the queue for it.
    encryptionKey?.grantEncryptDecrypt(eventBridge);
    missedTriggers.addToResourcePolicy(
      new PolicyStatement({
        principals: [eventBridge],
        actions: ['sqs:SendMessage'],
        resources: [missedTriggers.queueArn],
        conditions: { ArnEquals: { 'aws:SourceArn': eventRules } },
      }),
    );
  }
}

/** One pattern for each rule that it takes to name all repositories. */
function patterns(repositories: Set<string>, actions: string[]): Array<CfnRuleProps['eventPattern']> {
  const room = PATTERN_CHARACTERS - JSON.stringify(patternOf([], actions)).length - 256;
  const names = foldNames(repositories, { budget: MOST_RULES * room, overhead: NAME_CHARACTERS });
  if (names[0] === '*') return [patternOf(undefined, actions)];
  const found: Array<CfnRuleProps['eventPattern']> = [];
  let entries: Array<string | { prefix: string }> = [];
  for (const name of names) {
    const entry = name.endsWith('*') ? { prefix: name.slice(0, -1) } : name;
    if (JSON.stringify(patternOf([...entries, entry], actions)).length > PATTERN_CHARACTERS) {
      found.push(patternOf(entries, actions));
      entries = [];
    }
    entries.push(entry);
  }
  return [...found, patternOf(entries, actions)];
}

function patternOf(names: Array<string | { prefix: string }> | undefined, actions: string[]) {
  return {
    source: ['aws.ecr'],
    // What is replicated to this registry is told of by an event of its own.
    'detail-type': ['ECR Image Action', 'ECR Replication Action'],
    detail: { 'action-type': actions, result: ['SUCCESS'], 'repository-name': names },
  };
}
