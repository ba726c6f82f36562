import { setTimeout as sleep } from 'node:timers/promises';
import { ChangeMessageVisibilityCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { type Dynamo, startDynamo } from '../dynamo.ts';
import { startJsonService } from '../json-service.ts';
import { startSecretsManager } from '../secrets-manager.ts';
import { startSqs } from '../sqs.ts';
import { type CallListener, type RecordedCall, startApiProxy } from './api-proxy.ts';
import { type ContainerSpec, readContainer } from './container.ts';
import { fitsPattern, readEventRules } from './event-rules.ts';
import { type FunctionUrl, openFunctionUrl } from './function-url.ts';
import { createFunctions, type FunctionSpec, type Functions, readFunctions } from './functions.ts';
import { type Permissions, readPermissions } from './iam.ts';
import type { Answer } from './lambda-process.ts';
import { type Mapping, startMapping } from './mapping.ts';
import { arn, attributeOf, physicalName } from './names.ts';
import { createQueueClock } from './queue-clock.ts';
import { readResourcePolicies } from './resource-policies.ts';
import { createQueues, createSecrets, createTables, type QueueResource } from './resources.ts';
import { readSchedules, type Schedule } from './schedules.ts';
import { resolveTemplate, type Template } from './template.ts';
import { formatTrace, keepTrace, TRACE_ATTRIBUTE, type Trace } from './trace.ts';

export interface AwsHostOptions {
  template: Template;
  /** The folder of the assets, `cdk.out`. */
  assets: string;
  /**
   * Fast clock of the queues: the longest time that a message stays hidden, whatever was asked for with `DelaySeconds`
   * or `ChangeMessageVisibility`, or is left of its visibility when its invocation has failed. While a function works
   * on a message, the template's visibility timeout holds. Default 0.3.
   */
  longestWaitSeconds?: number;
}

export interface QueueView {
  counts(): { ready: number; delayed: number; inFlight: number };
  bodies(): string[];
  /** Ends the visibility timeouts of its messages, as if the time had passed. */
  reveal(): Promise<void>;
}

export interface AwsHost extends Pick<Functions, 'invocations'> {
  permissions: Permissions;
  /** Every call of a function to an AWS API. */
  calls: RecordedCall[];
  dynamo: Dynamo;
  table: string;
  /** The outputs of the stack. */
  outputs(): Record<string, string>;
  /** The one address of all AWS APIs. Whoever calls is told by the access key, the logical id of a function or a role. */
  endpoint: string;
  /** What the stack's task definition runs; undefined where it has none. */
  container: ContainerSpec | undefined;
  /** Has `listener` see every call before it is passed on, and say what goes wrong with it. */
  onCall(listener: CallListener | undefined): void;
  /** Resources are named by logical id, or by the end of their construct's path: `Tasks/Queue`. */
  queue(name: string): QueueResource & QueueView;
  send(queue: string, body: string, trace?: Trace): Promise<void>;
  putSecret(name: string, text: string): void;
  /** @param trace of what follows from it; a new one where it is left out */
  invoke(name: string, event: unknown, trace?: Trace): Promise<Answer>;
  /**
   * Does what a schedule does when its time has come; an asynchronous invocation that fails is tried again as
   * configured.
   */
  fire(schedule: string, trace?: Trace): Promise<Answer>;
  /** Puts an event on the default bus. @returns the answer of each target whose rule it fits */
  putEvent(event: object): Promise<Answer[]>;
  /** Where the URL of a function is served, from its first use on. */
  functionUrl(name: string): Promise<string>;
  kill(name: string): Promise<number>;
  /** Has the time of a function's invocations be nearly over now: it does what it does before its timeout. */
  hurry(name: string): void;
  /** Puts the clock of the functions forward; that of the queues is {@link AwsHostOptions.longestWaitSeconds}'s. */
  advance(ms: number): void;
  /** What functions told EventBridge and SNS. */
  events(): { Source: string; DetailType: string; Detail: string }[];
  mails(): { Subject: string; Message: string }[];
  busy(name: string): number;
  mostBusy(name: string): number;
  /** What a function wrote to its log. */
  output(name: string): string;
  mapping(queue: string): Mapping;
  /** Waits until no message is on its way in a queue that a function reads and no function works. */
  settle(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Deploys a synthesised stack into this machine and runs it: queues in fauxqs, tables in dynalite, secrets, events and
 * topics in stand-ins; functions as processes, fed by their event source mappings. Every API call goes over the wire
 * and is checked against the policies of the caller's role. What the template asks for and the host does not know is an
 * error.
 */
export async function startAwsHost(options: AwsHostOptions): Promise<AwsHost> {
  const { template, longestWaitSeconds = 0.3 } = options;
  const [sqs, dynamo, secrets, events] = await Promise.all([
    startSqs(),
    startDynamo(),
    startSecretsManager(),
    startJsonService({
      PutEvents: ({ Entries }) => ({ FailedEntryCount: 0, Entries: (Entries as []).map(() => ({ EventId: '0' })) }),
    }),
  ]);
  const clock = createQueueClock(longestWaitSeconds);
  const proxy = await startApiProxy({
    upstreams: {
      sqs: sqs.endpoint,
      sns: sqs.endpoint,
      dynamodb: dynamo.endpoint,
      secretsmanager: secrets.endpoint,
      events: events.endpoint,
    },
    whose: (accessKey) =>
      template.Resources[accessKey]?.Type === 'AWS::IAM::Role'
        ? { function: accessKey, role: accessKey }
        : specs.filter(({ id }) => id === accessKey).map(({ id, role }) => ({ function: id, role }))[0],
    permissions: () => permissions,
    rewrite: (request) => keepTrace(request, clock.shorten(request)),
  });
  const resolved = resolveTemplate(template, (id, resource, attribute, self) =>
    attributeOf(proxy.endpoint, { id, resource, attribute, template: self }),
  );
  const permissions = readPermissions(resolved);
  const specs = readFunctions(template, resolved, options.assets);
  const queues = createQueues(sqs, template, resolved);
  const [table = ''] = await createTables(dynamo.client, template, resolved);
  const secretResources = createSecrets(secrets, template, resolved);
  for (const { id } of resolved.ofType('AWS::SNS::Topic')) {
    sqs.server.createTopic(physicalName(id, template.Resources[id]!, resolved));
  }
  // Lambda writes a function's log by the function's role.
  for (const { role, logGroup } of specs) {
    const resource = arn('logs', `log-group:${logGroup}:log-stream:one`);
    for (const action of ['logs:CreateLogStream', 'logs:PutLogEvents']) permissions.check({ role, action, resource });
  }
  const functions = createFunctions(specs, proxy.endpoint);
  const schedules = readSchedules(resolved);
  const eventRules = readEventRules(resolved);
  const policies = readResourcePolicies(resolved);
  const functionUrls = new Map<string, Promise<FunctionUrl>>();

  const mappings = new Map<string, Mapping>();
  for (const { id, properties } of resolved.ofType('AWS::Lambda::EventSourceMapping')) {
    const queue =
      queues.find((one) => one.arn === properties.EventSourceArn) ?? fail(`${id} reads no queue of the stack`);
    mappings.set(queue.id, openMapping(id, properties, queue));
  }

  function openMapping(id: string, properties: Record<string, unknown>, queue: QueueResource): Mapping {
    const spec =
      specs.find(({ name, arn }) => [name, arn].includes(String(properties.FunctionName))) ??
      fail(`${id} has no function`);
    for (const name of Object.keys(properties)) {
      if (!knownMappingProperties.has(name)) fail(`the host does not know ${name} of an event source mapping`);
    }
    // What Lambda refuses when a mapping is made ("Creating an SQS event source mapping").
    if (spec.timeoutMs > queue.visibilitySeconds * 1000)
      fail(`${id}: the function's timeout is longer than the queue's visibility`);
    for (const action of ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes']) {
      if (!permissions.check({ role: spec.role, action, resource: queue.arn }))
        fail(`${id}: ${spec.role} may not ${action}`);
    }
    const scaling = properties.ScalingConfig as { MaximumConcurrency?: number } | undefined;
    return startMapping({
      client: sqs.client,
      queueUrl: queue.url,
      queueArn: queue.arn,
      batchSize: Number(properties.BatchSize ?? 10),
      reportsItems: ((properties.FunctionResponseTypes ?? []) as string[]).includes('ReportBatchItemFailures'),
      // Lambda begins with 5 where nothing is set.
      concurrency: scaling?.MaximumConcurrency ?? 5,
      invoke: (event, trace) => functions.invoke(spec.id, event, trace),
      longestWaitSeconds,
      isVisibilityChanged: clock.isVisibilityChanged,
    });
  }

  const functionId = (name: string) => named(specs, name).id;

  /**
   * An asynchronous invocation: Lambda tries a failed one twice again, unless the function's configuration says other.
   */
  async function invokeAsync(spec: FunctionSpec, event: unknown, trace?: Trace): Promise<Answer> {
    const config = resolved
      .ofType('AWS::Lambda::EventInvokeConfig')
      .find(({ properties }) => properties.FunctionName === spec.name)?.properties;
    const retries = Number(config?.MaximumRetryAttempts ?? 2);
    let answer = await functions.invoke(spec.id, event, trace);
    for (let retry = 0; retry < retries && !answer.ok && !isClosed; retry++) {
      await sleep(longestWaitSeconds * 1000);
      answer = await functions.invoke(spec.id, event, trace);
    }
    const { OnFailure } = (config?.DestinationConfig ?? {}) as { OnFailure?: { Destination: string } };
    if (OnFailure !== undefined) {
      const body = { requestPayload: event, responsePayload: answer };
      // The right to send is asked for when the configuration is made.
      await sendAs(spec.role, OnFailure.Destination, answer.ok ? undefined : JSON.stringify(body));
    }
    return answer;
  }

  /** Sends to a queue where there is something to send, and checks the right to do so in any case. */
  async function sendAs(role: string, queueArn: string, body: string | undefined): Promise<void> {
    const queue = queues.find(({ arn }) => arn === queueArn) ?? fail(`${queueArn} is no queue of the stack`);
    if (!permissions.check({ role, action: 'sqs:SendMessage', resource: queueArn }))
      fail(`${role} may not send to ${queueArn}`);
    if (body !== undefined) await sqs.client.send(new SendMessageCommand({ QueueUrl: queue.url, MessageBody: body }));
  }

  async function run(schedule: Schedule, trace?: Trace): Promise<Answer> {
    const { id, role, targetArn, deadLetterArn } = schedule;
    if (deadLetterArn !== undefined) await sendAs(role, deadLetterArn, undefined);
    const spec = specs.find(({ arn }) => arn === targetArn);
    if (spec === undefined) {
      await sendAs(role, targetArn, schedule.input());
      return { ok: true, payload: 'null' };
    }
    if (!permissions.check({ role, action: 'lambda:InvokeFunction', resource: targetArn })) {
      fail(`${id}: ${role} may not invoke ${spec.id}`);
    }
    return invokeAsync(spec, JSON.parse(schedule.input()), trace);
  }

  async function putEvent(event: object): Promise<Answer[]> {
    const fitting = eventRules.filter(({ pattern }) => fitsPattern(pattern, event));
    const deliveries = fitting.flatMap(({ id, arn: ruleArn, targets }) =>
      targets.map((target) => ({ id, ruleArn, target })),
    );
    return Promise.all(
      deliveries.map(({ id, ruleArn, target }) => {
        const spec = specs.find(({ arn }) => arn === target.arn) ?? fail(`${id} has a target that is no function`);
        if (!policies.mayInvoke(spec.arn, 'events.amazonaws.com', ruleArn)) fail(`${id} may not invoke ${spec.id}`);
        if (target.deadLetterArn && !policies.maySend(target.deadLetterArn, 'events.amazonaws.com', ruleArn)) {
          fail(`${id} may not send to ${target.deadLetterArn}`);
        }
        return invokeAsync(spec, event);
      }),
    );
  }

  function openUrl(name: string): Promise<FunctionUrl> {
    const { id, arn } = named(specs, name);
    const url = resolved
      .ofType('AWS::Lambda::Url')
      .find(({ properties }) => properties.TargetFunctionArn === arn)?.properties;
    if (url === undefined) fail(`${id} has no URL`);
    if (url.AuthType !== 'NONE' || !policies.mayCallUrl(arn)) fail(`the URL of ${id} is not open to all`);
    const opened = functionUrls.get(id) ?? openFunctionUrl((event, trace) => functions.invoke(id, event, trace));
    functionUrls.set(id, opened);
    return opened;
  }

  const messagesOf = (queue: QueueResource) => sqs.server.inspectQueue(queue.name)!.messages;
  const isQuiet = () =>
    specs.every(({ id }) => functions.busy(id) === 0) &&
    queues
      .filter(({ id }) => mappings.has(id))
      .every((queue) => {
        const { ready, delayed, inflight } = messagesOf(queue);
        return ready.length + delayed.length + inflight.length === 0;
      });
  let isClosed = false;

  return {
    invocations: functions.invocations,
    permissions,
    calls: proxy.calls,
    dynamo,
    table,
    outputs: () =>
      Object.fromEntries(
        Object.entries(template.Outputs ?? {}).map(([name, { Value }]) => [name, String(resolved.resolve(Value))]),
      ),
    endpoint: proxy.endpoint,
    container: readContainer(template, resolved, options.assets),
    onCall(listener) {
      proxy.onCall = listener;
    },
    queue(name) {
      const queue = named(queues, name);
      return {
        ...queue,
        counts: () => {
          const { ready, delayed, inflight } = messagesOf(queue);
          return { ready: ready.length, delayed: delayed.length, inFlight: inflight.length };
        },
        bodies: () => {
          const { ready, delayed, inflight } = messagesOf(queue);
          return [...ready, ...delayed, ...inflight.map(({ message }) => message)].map(({ body }) => body);
        },
        async reveal() {
          for (const { receiptHandle } of messagesOf(queue).inflight) {
            const receipt = { QueueUrl: queue.url, ReceiptHandle: receiptHandle };
            await sqs.client.send(new ChangeMessageVisibilityCommand({ ...receipt, VisibilityTimeout: 0 }));
          }
        },
      };
    },
    async send(queue, body, trace) {
      const message = { QueueUrl: named(queues, queue).url, MessageBody: body };
      const attributes = trace && { [TRACE_ATTRIBUTE]: { DataType: 'String', StringValue: formatTrace(trace) } };
      await sqs.client.send(new SendMessageCommand({ ...message, MessageAttributes: attributes }));
    },
    putSecret(name, text) {
      secrets.secrets.set(named(secretResources, name).arn, text);
    },
    invoke: (name, event, trace) => functions.invoke(functionId(name), event, trace),
    fire: (schedule, trace) => run(named(schedules, schedule), trace),
    putEvent,
    functionUrl: async (name) => (await openUrl(name)).url,
    kill: (name) => functions.kill(functionId(name)),
    hurry: (name) => functions.hurry(functionId(name)),
    advance: functions.advance,
    events: () =>
      proxy.calls.filter(({ operation }) => operation === 'PutEvents').flatMap(({ input }) => input.Entries) as never,
    mails: () => proxy.calls.filter(({ operation }) => operation === 'Publish').map(({ input }) => input) as never,
    busy: (name) => functions.busy(functionId(name)),
    mostBusy: (name) => functions.mostBusy(functionId(name)),
    output: (name) => functions.output(functionId(name)),
    mapping: (queue) => mappings.get(named(queues, queue).id) ?? fail(`no function reads ${queue}`),
    async settle(timeoutMs = 240_000) {
      const deadline = Date.now() + timeoutMs;
      // Twice in a row: between a function's answer and the deletion of its message, or a receipt and an invocation,
      // little is to be seen.
      for (let quiet = 0; quiet < 2; ) {
        quiet = isQuiet() ? quiet + 1 : 0;
        if (Date.now() > deadline) {
          const left = queues.map(
            (queue) =>
              `${queue.path}: ${messagesOf(queue).ready.length} ready, ${messagesOf(queue).delayed.length} delayed, ${messagesOf(queue).inflight.length} in flight`,
          );
          throw new Error(`the stack is not quiet after ${timeoutMs} ms; ${left.join('; ')}`);
        }
        await sleep(10);
      }
    },
    async close() {
      isClosed = true;
      for (const url of functionUrls.values()) await (await url).close();
      const closing = Promise.all([...mappings.values()].map((mapping) => mapping.close()));
      await functions.close();
      await closing;
      await proxy.close();
      await Promise.all([sqs.close(), dynamo.close(), secrets.close(), events.close()]);
    },
  };
}

const knownMappingProperties = new Set([
  'BatchSize',
  'Enabled',
  'EventSourceArn',
  'FunctionName',
  'FunctionResponseTypes',
  'ScalingConfig',
  'Tags',
]);

/** The one resource with that logical id, or whose construct's path ends so (`/Resource` left out). */
function named<T extends { id: string; path: string }>(resources: T[], name: string): T {
  const found = resources.filter(
    ({ id, path }) => id === name || `/${path.replace(/\/Resource$/, '')}`.endsWith(`/${name}`),
  );
  if (found.length === 1 && found[0] !== undefined) return found[0];
  const paths = resources.map(({ path }) => path).join(', ');
  throw new Error(
    `${found.length === 0 ? 'no resource has' : 'several resources have'} the name ${name}; there are: ${paths}`,
  );
}

function fail(message: string): never {
  throw new Error(message);
}
