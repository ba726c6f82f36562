import { afterAll, beforeAll } from 'vitest';
import { carryOut } from '../../../machine/settle.ts';
import type { Database } from '../../../machine/state/database.ts';
import { listDead } from '../../../machine/state/dead-letters.ts';
import { openLedger } from '../../../machine/state/ledger.ts';
import { openQueue, type Queue } from '../../../machine/state/queue.ts';
import { itSettles } from '../../support/settle-contract.ts';
import { temporaryState } from '../../support/state.ts';

const FAR_MS = 365 * 24 * 3_600_000;
const state = temporaryState();
let database: Database;
let queue: Queue;

beforeAll(() => {
  database = state.open(state.directory());
  queue = openQueue(database);
});
afterAll(() => state.clean());

itSettles(() => {
  const ledger = openLedger(database);
  return {
    ledger,
    async carryOut(task, settlement) {
      await queue.send([task]);
      const [received] = await queue.receive({ most: 1, runId: task.runId, owner: 'test', visibilityMs: FAR_MS });
      if (received?.kind !== 'task') throw new Error('no task');
      await carryOut({ queue, ledger, emit: () => {} }, received, settlement, { durable: false });
    },
    async takeAll(runId) {
      const found = [];
      for (;;) {
        const at = await queue.nextVisibleAt(runId);
        if (typeof at !== 'number') return found;
        const later = openQueue(database, { now: () => at });
        const [received] = await later.receive({ most: 1, runId, owner: 'test', visibilityMs: FAR_MS });
        if (received?.kind !== 'task') return found;
        found.push({ task: received.body, inMs: at - Date.now() });
        await queue.done(received);
      }
    },
    deadLetters: async (runId) => listDead(database, { runId, limit: 10 }),
  };
});
