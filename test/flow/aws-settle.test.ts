import { afterAll, beforeAll } from 'vitest';
import { parseTask } from '../../core/pipeline/messages.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import { carryOut } from '../../functions/copier/copy.ts';
import { type Surroundings, startSurroundings } from '../support/functions.ts';
import { itSettles } from '../support/settle-contract.ts';

let at: Surroundings;

beforeAll(async () => {
  at = await startSurroundings();
});
afterAll(() => at.close());

itSettles(() => {
  const deps = {
    ...at,
    tasks: at.queues.tasks,
    longTasks: at.queues.longTasks,
    deadLetters: at.queues.deadTasks,
    policy: cloudPolicy({ tries: 3, backoffMs: 1000 }),
    createRepository: async () => false,
    now: Date.now,
  };
  return {
    ledger: at.ledger,
    carryOut: (task, settlement) => carryOut(deps, task, settlement),
    async takeAll() {
      const { ready = [], delayed = [] } = at.sqs.server.inspectQueue('tasks')?.messages ?? {};
      const waits = new Map(delayed.map((message) => [message.body, (message.delayUntil ?? 0) - Date.now()]));
      await at.drainTasks();
      return [...ready, ...delayed].map(({ body }) => ({ task: parseTask(body).message, inMs: waits.get(body) ?? 0 }));
    },
    async deadLetters() {
      const letters = await at.drainTasks(at.urls.deadTasks);
      return letters.map(({ message }) => ({ task: message, failure: message.failure }));
    },
  };
});
