import { readFileSync } from 'node:fs';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context, SQSEvent } from 'aws-lambda';
import { TranshipError } from '../../core/model/errors.ts';
import type { RuleSet } from '../../core/model/rule.ts';
import { parsePlannerMessage } from '../../core/pipeline/messages.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { RunRecord } from '../../core/pipeline/ports/runs.ts';
import { createDynamoClient, createSqsClient } from '../aws/clients.ts';
import { readEnvironment, readText } from '../aws/environment.ts';
import { createLedger } from '../aws/ledger.ts';
import { readPolicies } from '../aws/policies.ts';
import { createQueue, sendBackIfEarly } from '../aws/queue.ts';
import { openRegistries } from '../aws/registries.ts';
import { handleMessages } from '../aws/sqs-event.ts';
import { countUp, emit, logger, publishCounts } from '../aws/telemetry.ts';
import { lookForEnd } from './end.ts';
import { planMessage } from './plan.ts';
import { parseStart, startRun } from './start.ts';

/** Share of the time that is left for the page that is begun last: 1,000 tags, asked for 16 at a time. */
const LAST_PAGE_SHARE = 0.4;
const MARGIN_MS = 20_000;

const env = readEnvironment([
  'TRANSHIP_TABLE',
  'TRANSHIP_PLAN_QUEUE_URL',
  'TRANSHIP_TASK_QUEUE_URL',
  'TRANSHIP_EVENT_BUS',
]);
/** The stack puts it beside the bundle, read and checked when it was synthesised. */
const { rules } = JSON.parse(readFileSync(new URL('rules.json', import.meta.url), 'utf8')) as RuleSet;
const sqs = createSqsClient();
const topicArn = readText('TRANSHIP_TOPIC_ARN');
const ledger = createLedger({ client: createDynamoClient(), table: env.TRANSHIP_TABLE });
const { policy } = readPolicies();
const plans = createQueue<PlanMessage | EndCheck>({ client: sqs, url: env.TRANSHIP_PLAN_QUEUE_URL });
const tasks = createQueue<Task>({ client: sqs, url: env.TRANSHIP_TASK_QUEUE_URL });
const pushedTaskUrl = readText('TRANSHIP_PUSHED_TASK_QUEUE_URL');
const pushedTasks = pushedTaskUrl === undefined ? tasks : createQueue<Task>({ client: sqs, url: pushedTaskUrl });
const deps = {
  client: openRegistries(),
  ledger,
  tasks,
  plans,
  queue: plans,
  rules: new Map(rules.map((rule) => [rule.id, rule])),
  report,
  policy,
  emit,
  log: logger,
  count: countUp,
  now: Date.now,
};

async function report(run: RunRecord, isRepeated: boolean): Promise<void> {
  // Its clients are needed once a run.
  const { reportRun } = await import('./report.ts');
  await reportRun(run, { bus: env.TRANSHIP_EVENT_BUS, topicArn, ledger, isRepeated });
}

async function handle(event: unknown, context: Context) {
  if (!isQueueEvent(event)) {
    const started = await startRun({ ...deps, rules }, parseStart(event), context.awsRequestId);
    logger.setCorrelationId(started.runId);
    logger.info('run started', started);
    return started;
  }
  const remainingMs = context.getRemainingTimeInMillis();
  const deadline = Date.now() + remainingMs * (1 - LAST_PAGE_SHARE);
  const stop = new AbortController();
  const timeIsOver = new TranshipError('a page was not planned within the time of one invocation', {
    class: 'transient',
    code: 'timeout',
  });
  const timer = setTimeout(() => stop.abort(timeIsOver), Math.max(0, remainingMs - MARGIN_MS));
  const options = { client: sqs, url: env.TRANSHIP_PLAN_QUEUE_URL, policy, log: logger, count: countUp };
  try {
    return await handleMessages(options, event, async (record) => {
      const delivered = parsePlannerMessage(record.body);
      const { message } = delivered;
      logger.setCorrelationId(message.runId);
      if (await sendBackIfEarly(plans, delivered)) return;
      if ('kind' in message) {
        await lookForEnd(deps, message, record.attributes.ApproximateReceiveCount !== '1');
        return;
      }
      logger.appendKeys({ ruleId: message.ruleId, attempt: message.attempt });
      await planMessage(message.pushed ? { ...deps, tasks: pushedTasks } : deps, message, {
        deadline,
        signal: stop.signal,
      });
    });
  } finally {
    clearTimeout(timer);
  }
}

function isQueueEvent(event: unknown): event is SQSEvent {
  return typeof event === 'object' && event !== null && Array.isArray((event as Partial<SQSEvent>).Records);
}

/**
 * Starts a run where a schedule or a person invokes it; expands rules, and looks for the end of runs, by the plan
 * queue.
 */
export const handler = middy(handle)
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .use(publishCounts());
