import { describe, expect, it } from 'vitest';
import type { Failure } from '../../core/model/errors.ts';
import type { Target } from '../../core/model/reference.ts';
import { outcomeOf } from '../../core/pipeline/outcome.ts';
import type { Ledger } from '../../core/pipeline/ports/ledger.ts';
import type { Task } from '../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../core/pipeline/ports/runs.ts';
import type { Settlement } from '../../core/pipeline/settle.ts';

/** One host, for the rules that every host keeps when it carries out what was decided of a task. */
export interface SettlingHost {
  ledger: Ledger;
  /** Receives the one task that is in the queue, and carries the settlement out. */
  carryOut(task: Task, settlement: Settlement): Promise<void>;
  /** Takes all that is in the queue, with how long each is still hidden. */
  takeAll(runId: string): Promise<Array<{ task: Task; inMs: number }>>;
  /** What is kept for a second chance, or a person. */
  deadLetters(runId: string): Promise<Array<{ task: Task; failure: Failure | undefined }>>;
}

let runs = 0;
const to = (repository: string): Target => ({ registry: 'to.example', repository, tag: 'v1' });
const slow: Failure = { class: 'transient', code: 'timeout', message: 'no answer in time' };
const denied: Failure = { class: 'permanent', code: 'denied', message: 'no right to push' };
const nothing: Settlement = { succeeded: [], failed: [], givenUp: [], next: [], parks: [] };

/** @param open the host, opened before the tests */
export function itSettles(open: () => SettlingHost): void {
  async function begin(): Promise<Task> {
    const runId = `settle-${runs++}`;
    await open().ledger.startRun({ id: runId, trigger: 'test', startedAt: 1 });
    return {
      version: 1,
      runId,
      ruleId: 'rule',
      source: { registry: 'from.example', repository: 'app', tag: 'v1' },
      destinations: [to('a'), to('b'), to('c')],
      platforms: { platforms: [], os: [], arch: [] },
      force: false,
      plannedAt: 1000,
      attempt: 0,
    };
  }

  async function outcomesOf(runId: string): Promise<Outcome[]> {
    const all: Outcome[] = [];
    for await (const page of open().ledger.readOutcomes(runId)) all.push(...page);
    return all;
  }

  describe('settles a task', () => {
    it('records what ended, and is done with the message', async () => {
      const task = await begin();
      const succeeded = [outcomeOf(task, to('a'), { result: 'copied', bytes: 7, at: 2000 })];
      const failed = [
        outcomeOf(task, to('b'), { result: 'failed', failure: denied, platforms: task.platforms, at: 2000 }),
      ];
      await open().carryOut(task, { ...nothing, succeeded, failed });
      expect(await outcomesOf(task.runId)).toEqual(expect.arrayContaining([...succeeded, ...failed]));
      expect(await open().takeAll(task.runId)).toEqual([]);
    });

    it('sends on what is tried later, each at its time', async () => {
      const task = await begin();
      const again = { ...task, destinations: [to('a')], attempt: 1, failure: slow };
      const busy = { ...task, destinations: [to('b')] };
      await open().carryOut(task, {
        ...nothing,
        next: [
          { why: 'again', task: again, delay: { kind: 'after', ms: 600_000 } },
          { why: 'busy', task: busy, delay: { kind: 'after', ms: 0 } },
        ],
      });
      const messages = await open().takeAll(task.runId);
      expect(messages.map((one) => one.task)).toEqual(expect.arrayContaining([again, busy]));
      const delays = new Map(messages.map((one) => [one.task.destinations[0]?.repository, one.inMs]));
      expect(delays.get('b')).toBeLessThan(2000);
      expect(delays.get('a')).toBeGreaterThan(500_000);
      expect(await outcomesOf(task.runId)).toEqual([]);
      expect(await open().deadLetters(task.runId)).toEqual([]);
    });

    it('keeps what was given up, with its reason', async () => {
      const task = await begin();
      const givenUp = [outcomeOf(task, to('c'), { result: 'failed', failure: slow, at: 2000 })];
      await open().carryOut(task, { ...nothing, givenUp });
      const letters = await open().deadLetters(task.runId);
      expect(letters).toMatchObject([{ task: { runId: task.runId, destinations: [to('c')] }, failure: slow }]);
      expect(await open().takeAll(task.runId)).toEqual([]);
    });

    it('parks registries for every worker', async () => {
      const task = await begin();
      const park = { registry: `${task.runId}.example`, until: Date.now() + 3_600_000, reason: 'quota' };
      await open().carryOut(task, { ...nothing, parks: [park] });
      expect(await open().ledger.parks(Date.now())).toEqual(expect.arrayContaining([park]));
    });

    it('does no harm where it is done twice', async () => {
      const task = await begin();
      const succeeded = [outcomeOf(task, to('a'), { result: 'copied', bytes: 7, at: 2000 })];
      for (const _ of [1, 2]) await open().carryOut(task, { ...nothing, succeeded });
      expect(await outcomesOf(task.runId)).toEqual(succeeded);
    });
  });
}
