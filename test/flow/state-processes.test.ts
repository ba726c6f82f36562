import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import { closeAbandonedRuns } from '../../machine/state/interrupted.ts';
import { openLedger } from '../../machine/state/ledger.ts';
import { openQueue } from '../../machine/state/queue.ts';
import { countQueue, task, temporaryState } from '../support/state.ts';

const state = temporaryState();
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) await stop(child);
  state.clean();
});

type Role = 'takeLeases' | 'openFresh' | 'recordOutcomes' | 'planAndWork';

function start(role: Role, directory: string, name: string, count = 0): ChildProcess {
  const script = join(import.meta.dirname, '../support/state-process.ts');
  const child = spawn(process.execPath, [script, role, directory, name, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit', { signal: AbortSignal.timeout(60_000) });
}

async function finish(child: ChildProcess): Promise<void> {
  const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(60_000) });
  expect(code).toBe(0);
}

/** The first lines that the process says; fewer where it ends before. */
async function lines(child: ChildProcess, count: number): Promise<string[]> {
  const said: string[] = [];
  for await (const line of createInterface(child.stdout!)) {
    said.push(line);
    if (said.length >= count) break;
  }
  return said;
}

async function outcomes(ledger: ReturnType<typeof openLedger>, runId: string): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const page of ledger.readOutcomes(runId)) all.push(...page);
  return all;
}

describe('several processes on one state directory', () => {
  it('start for the first time at once', async () => {
    const directory = state.directory();
    await Promise.all(['one', 'two', 'three'].map((name) => finish(start('openFresh', directory, name, 40))));
  });

  it('hold a lease one at a time', async () => {
    const directory = state.directory();
    const names = ['one', 'two', 'three'];
    await Promise.all(names.map((name) => finish(start('takeLeases', directory, name, 200))));
    const claims = readFileSync(join(directory, 'claims'), 'utf8').trimEnd().split('\n');
    expect(claims).toHaveLength(600);
    expect(claims.filter((claim) => claim.endsWith('crowded'))).toEqual([]);
  });

  it('record the same outcomes once', async () => {
    const directory = state.directory();
    await Promise.all(['one', 'two'].map((name) => finish(start('recordOutcomes', directory, name, 500))));
    expect(await outcomes(openLedger(state.open(directory)), 'run-1')).toHaveLength(500);
  });

  it('lose nothing of a run whose process is killed, and touch no run of a living one', async () => {
    const directory = state.directory();
    const own = state.open(directory);
    await openLedger(own).startRun({ id: 'run-1', trigger: 't', startedAt: Date.now() });
    await openQueue(own).send([task('mine')]);
    const living = start('planAndWork', directory, 'living');
    const killed = start('planAndWork', directory, 'killed');
    await lines(living, 1);
    const sent = await lines(killed, 12);
    expect(closeAbandonedRuns(own, Date.now())).toEqual([]);
    await stop(killed);

    const ledger = openLedger(own);
    expect(await ledger.readRun('killed')).toMatchObject({ state: 'running' });
    expect(closeAbandonedRuns(own, Date.now())).toEqual(['killed']);
    const run = await ledger.readRun('killed');
    const recorded = await outcomes(ledger, 'killed');
    const tags = new Set(recorded.map((outcome) => outcome.destination.tag));
    for (const line of sent) {
      const page = line.split(' ')[1];
      for (let n = 0; n < 10; n++) expect(tags).toContain(`p${page}-${n}`);
    }
    expect(run?.state).toBe('interrupted');
    expect(run?.counts.deferred).toBeGreaterThan(0);
    expect(run?.counts.copied).toBeGreaterThan(0);
    expect(run?.counts.planned).toBe(recorded.length);
    expect(await openQueue(own).nextVisibleAt('killed')).toBeUndefined();

    expect(await ledger.readRun('living')).toMatchObject({ state: 'running' });
    expect(await ledger.readRun('run-1')).toMatchObject({ state: 'running' });
    expect(countQueue(own, 'run-1')).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
    await stop(living);
    expect(closeAbandonedRuns(own, Date.now())).toEqual(['living']);
  });
});
