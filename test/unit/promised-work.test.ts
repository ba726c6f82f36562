import { getEventListeners } from 'node:events';
import { setImmediate as tick } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { createPromisedWork } from '../../machine/serve/work.ts';
import { machineFor } from '../support/machine.ts';
import { task, temporaryState } from '../support/state.ts';

const state = temporaryState();
afterEach(() => state.clean());

it('leaves nothing behind each time that work arrives for a run that waits', async () => {
  const stop = new AbortController();
  const credentials = { lookup: async () => undefined };
  const machine = machineFor(state.directory(), { credentials, signal: stop.signal });
  const work = createPromisedWork({
    machine,
    limits: { proc: 5, retries: 2, maxWaitMs: 0 },
    rules: new Map(),
    emitFor: () => () => {},
    runEnded: () => {},
    stop: stop.signal,
    failed(error) {
      throw error;
    },
  });
  const run = { id: 'push-1', trigger: 'push', startedAt: Date.now() };
  const before = getEventListeners(stop.signal, 'abort').length;
  for (let at = 0; at < 100; at++) {
    machine.runOwners.promise(run, [
      { tasks: [task(`t${at}`, { runId: run.id })], plans: [], visibleAt: Date.now() + 3_600_000 },
    ]);
    work.begin(run.id, run.trigger);
    for (let turn = 0; turn < 3; turn++) await tick();
  }
  expect(getEventListeners(stop.signal, 'abort').length).toBeLessThanOrEqual(before + 2);
  stop.abort();
  await work.ended();
  await machine.close();
});
