import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import { runPolicy } from '../../core/pipeline/try-policy.ts';
import { drainRun } from '../../machine/drain.ts';
import { pushImage } from '../../testing/images.ts';
import { type EmbeddedRegistry, startRegistry } from '../../testing/registry/server.ts';
import { machineFor } from '../support/machine.ts';
import { task, temporaryState } from '../support/state.ts';

const state = temporaryState();
let source: EmbeddedRegistry;
let destination: EmbeddedRegistry;

beforeAll(async () => {
  [source, destination] = await Promise.all([startRegistry(), startRegistry()]);
});
afterAll(async () => {
  state.clean();
  await Promise.all([source.close(), destination.close()]);
});

/** As pushes leave them: two announcements of one tag, in one run. */
const doubled = (over: Partial<Task>): Task => ({
  ...task('1.0'),
  source: { registry: source.host, repository: 'team/app', tag: '1.0' },
  destinations: [{ registry: destination.host, repository: 'mirror/app', tag: '1.0' }],
  pushed: true,
  ...over,
});

/** @param until stops the run early, where it says so of the results so far */
async function drain(
  tasks: Task[],
  until: (results: Array<string | undefined>) => boolean = () => false,
): Promise<Array<string | undefined>> {
  const stop = new AbortController();
  const { signal } = stop;
  const credentials = { lookup: async () => ({ insecure: true }) };
  const machine = machineFor(state.directory(), { credentials, signal });
  const results: Array<string | undefined> = [];
  await machine.ledger.startRun({ id: 'run-1', trigger: 'push', startedAt: Date.now() });
  await machine.queue.send(tasks);
  await drainRun({
    machine,
    runId: 'run-1',
    startedAt: Date.now(),
    rules: new Map(),
    force: false,
    proc: 5,
    policy: runPolicy({ retries: 0, maxWaitMs: 0 }),
    emit(event) {
      if (event.type === 'task-finished') results.push(...event.outcomes.map(({ result }) => result));
      if (until(results)) stop.abort();
    },
    signal,
  });
  await machine.close();
  return results;
}

it('lets one task at a time write a tag, in one process too', async () => {
  await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'one', tag: '1.0' });
  const plannedAt = Date.now();
  expect(await drain([doubled({ plannedAt }), doubled({ plannedAt })])).toEqual(['copied', 'unchanged']);
});

it('holds up nobody while it waits for what was announced', async () => {
  const { digest } = await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'two', tag: '1.0' });
  const plannedAt = Date.now();
  const settleUntil = plannedAt + 10_000;
  const gone = doubled({ plannedAt, settleUntil, hint: `sha256:${'a'.repeat(64)}` });
  let waited = true;
  const now = doubled({ plannedAt, settleUntil, hint: digest });
  const drained = drain([gone, now]).then((results) => {
    waited = Date.now() >= settleUntil;
    return results;
  });
  await expect
    .poll(() => destination.content.has('mirror/app') && destination.content.manifest('mirror/app', '1.0')?.digest, {
      interval: 20,
    })
    .toBe(digest);
  expect(Date.now()).toBeLessThan(settleUntil);
  expect(await drained).toEqual(['copied', 'unchanged']);
  expect(waited).toBe(true);
});

it('copies what is there before what is announced and never comes, however much that is', async () => {
  const { digest } = await pushImage({ url: source.url, repository: 'team/app' }, { seed: 'three', tag: '1.0' });
  const settleUntil = Date.now() + 60_000;
  const at = (tag: string, hint: Task['hint']) =>
    doubled({
      source: { registry: source.host, repository: 'team/app', tag },
      destinations: [{ registry: destination.host, repository: 'mirror/app', tag }],
      plannedAt: Date.now(),
      settleUntil,
      ...(hint && { hint }),
    });
  // Several times as many as are worked on at once.
  const never = Array.from({ length: 50 }, (_, index) => at(`never-${index}`, `sha256:${'b'.repeat(64)}`));
  const results = await drain([...never, at('1.0', digest)], ({ length }) => length > 0);
  expect(results).toEqual(['copied']);
});
