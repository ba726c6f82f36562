import { PurgeQueueCommand } from '@aws-sdk/client-sqs';
import { createCopyContext } from '../../core/copy/context.ts';
import { createSlots } from '../../core/model/slots.ts';
import { parsePlannerMessage, parseTask, type Timed } from '../../core/pipeline/messages.ts';
import type { Emit } from '../../core/pipeline/ports/events.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { closeRegistryClient, createRegistryClient } from '../../core/registry/client.ts';
import { createLedger } from '../../functions/aws/ledger.ts';
import { createQueue } from '../../functions/aws/queue.ts';
import type { Count, CountUp, Log } from '../../functions/aws/telemetry.ts';
import { startDynamo } from './dynamo.ts';
import { startSqs } from './sqs.ts';

export const noPlatforms = { platforms: [], os: [], arch: [] };

/**
 * The functions' surroundings: queues, ledger and registries over the wire, in this process, and no waits to speak of.
 */
export async function startSurroundings() {
  const sqs = await startSqs();
  const dynamo = await startDynamo();
  const names = ['tasks', 'dead-tasks', 'plans', 'dead-plans', 'long-tasks'] as const;
  const [tasks, deadTasks, plans, deadPlans, longTasks] = names.map((name) => sqs.createQueue(name)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const urls = { tasks, deadTasks, plans, deadPlans, longTasks };
  const ledger = createLedger({ client: dynamo.client, table: dynamo.table });
  const client = createRegistryClient({
    credentials: { lookup: async () => ({ insecure: true }) },
    retry: { attempts: 1, baseMs: 1, capMs: 1 },
  });
  const counts: Partial<Record<Count, number>> = {};
  const count: CountUp = (name, value = 1) => {
    counts[name] = (counts[name] ?? 0) + value;
  };
  const lines: Array<{ message: string; fields: Record<string, unknown> }> = [];
  const note = (message: unknown, ...extra: unknown[]) => {
    lines.push({ message: String(message), fields: Object.assign({}, ...extra) });
  };
  const log: Log = { info: note, warn: note, error: note };
  const emit: Emit = () => {};

  /** Every message of a queue, whether it waits or not; the queue is empty then. */
  const drain = async (url: string): Promise<string[]> => {
    const { ready, delayed } = sqs.server.inspectQueue(url.split('/').at(-1)!)!.messages;
    const found = [...ready, ...delayed].map(({ body }) => body);
    await sqs.client.send(new PurgeQueueCommand({ QueueUrl: url }));
    return found;
  };
  return {
    sqs,
    urls,
    ledger,
    copy: { ...createCopyContext({ client, ledger, blobsAtOnce: 4, emit }), retry: client.options.retry },
    chunking: { fromBytes: 256 * 1024 ** 2, chunkBytes: 64 * 1024 ** 2, chunkSlots: createSlots(4) },
    queues: {
      tasks: createQueue<Task>({ client: sqs.client, url: tasks }),
      deadTasks: createQueue<Task>({ client: sqs.client, url: deadTasks }),
      longTasks: createQueue<Task>({ client: sqs.client, url: longTasks }),
      plans: createQueue<PlanMessage | EndCheck>({ client: sqs.client, url: plans }),
    },
    counts,
    count,
    lines,
    log,
    emit,
    drain,
    drainTasks: async (url = tasks): Promise<Array<Timed<Task>>> => (await drain(url)).map((body) => parseTask(body)),
    drainPlans: async () => (await drain(plans)).map((body) => parsePlannerMessage(body)),
    async outcomes(runId: string): Promise<Outcome[]> {
      const all: Outcome[] = [];
      for await (const page of ledger.readOutcomes(runId)) all.push(...page);
      return all;
    },
    async close() {
      await closeRegistryClient(client);
      await Promise.all([sqs.close(), dynamo.close()]);
    },
  };
}

export type Surroundings = Awaited<ReturnType<typeof startSurroundings>>;
