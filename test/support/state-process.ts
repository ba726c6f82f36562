import { appendFileSync, closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { openDatabase } from '../../machine/state/database.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { openQueue } from '../../machine/state/queue.ts';
import { task } from './state.ts';

/**
 * One process of test/flow/state-processes.test.ts: `node state-process.ts <role> <state directory> <own name>
 * <count>`. A line on stdout says that something is certain to be stored.
 */
const [role, directory, name, count] = process.argv.slice(2) as [string, string, string, string];

const database = openDatabase(directory);
const ledger = openLedger(database);
const queue = openQueue(database);

/** Enters and leaves a room that holds one, `count` times. */
async function takeLeases(): Promise<void> {
  const room = join(directory, 'room');
  for (let entered = 0; entered < Number(count); ) {
    const lease = await ledger.acquireLease('room', name, 60_000);
    if (!lease) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      continue;
    }
    entered++;
    let claim = 'alone';
    try {
      closeSync(openSync(room, 'wx'));
    } catch {
      claim = 'crowded';
    }
    appendFileSync(join(directory, 'claims'), `${name} ${claim}\n`);
    await new Promise((resolve) => setImmediate(resolve));
    rmSync(room, { force: true });
    await ledger.releaseLease(lease);
  }
}

/**
 * Opens a new directory every 20 ms by the wall clock, which makes it the same one at the same moment in all processes.
 */
async function openFresh(): Promise<void> {
  for (let n = 0; n < Number(count); n++) {
    const slot = Math.floor(Date.now() / 20) + 1;
    while (Date.now() < slot * 20);
    openDatabase(join(directory, `fresh-${slot}`)).close();
  }
}

async function recordOutcomes(): Promise<void> {
  for (let n = 0; n < Number(count); n++) await ledger.recordOutcome(copied(task(`t${n}`)));
}

/** Plans a run page by page and works on it at the same time, until it is killed. */
async function planAndWork(): Promise<void> {
  await ledger.startRun({ id: name, trigger: 't', startedAt: Date.now() });
  for (let page = 0; ; page++) {
    const tasks = Array.from({ length: 10 }, (_, n) => task(`p${page}-${n}`, { runId: name }));
    await queue.send(tasks);
    process.stdout.write(`sent ${page}\n`);
    await ledger.recordPage({
      runId: name,
      ruleId: 'rule-1',
      after: String(page),
      planned: 10,
      unchanged: 0,
      next: 'x',
    });
    for (let n = 0; n < 7; n++) {
      const [delivery] = await queue.receive({ most: 1, runId: name, owner: name, visibilityMs: 60_000 });
      if (delivery?.kind !== 'task') continue;
      await ledger.recordOutcome(copied(delivery.body));
      await queue.done(delivery);
    }
    // Lets the pipe be written: the reader decides by it when to kill.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function copied({ runId, ruleId, source, destinations }: Task): Outcome {
  const sizes = { bytes: 1, mounted: 0, present: 0 };
  return { runId, ruleId, source, destination: destinations[0]!, result: 'copied', at: Date.now(), ...sizes };
}

const roles: Record<string, () => Promise<void>> = { takeLeases, openFresh, recordOutcomes, planAndWork };
await roles[role]!();
database.close();
