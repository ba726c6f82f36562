import { describe, expect, it } from 'vitest';
import { EVERY_PLATFORM } from '../../core/model/platform.ts';
import { formatMessage } from '../../core/pipeline/messages.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import { cloudPolicy } from '../../core/pipeline/try-policy.ts';
import type { DeadLetterQueue } from '../../functions/aws/dead-letters.ts';
import { type RedriveDeps, redrive } from '../../functions/redrive/redrive.ts';

/** What a call of SQS takes here, and nothing else does. */
const CALL_MS = 100;
const STOP_MS = 240_000;
const TIMEOUT_MS = 300_000;
const start = 1_000_000_000;

/** A clock that only calls put forward, and queues of dead letters that nobody else reads. */
function surroundings() {
  const clock = { now: start };
  const lines: string[] = [];
  const queueOf = (bodies: string[]) => {
    const state = { taken: 0, removed: 0, putBack: 0 };
    const letters: DeadLetterQueue = {
      async receive() {
        clock.now += CALL_MS;
        const from = state.taken;
        state.taken = Math.min(bodies.length, from + 10);
        return bodies.slice(from, state.taken).map((body, n) => ({
          id: `${from + n}`,
          body,
          receiptHandle: `${from + n}`,
          sentAt: start - 1,
        }));
      },
      async remove() {
        state.removed += 1;
      },
      async putBack(handles) {
        clock.now += Math.ceil(handles.length / 10) * CALL_MS;
        state.putBack += handles.length;
      },
    };
    return { letters, state };
  };
  const queue = { send: async () => {} };
  const note = (message: unknown) => void lines.push(String(message));
  const deps = (deadTasks: DeadLetterQueue, deadPlans: DeadLetterQueue) =>
    ({
      ...{ deadTasks, deadPlans, tasks: queue, longTasks: queue, plans: queue },
      ledger: { recordRuleFailure: async () => {}, listRuns: async () => [], read: async () => undefined },
      policy: cloudPolicy({ tries: 5, backoffMs: 1000 }),
      chances: { chances: 5, pauseMs: 900_000 },
      log: { info() {}, warn: note, error() {} },
      count() {},
      now: () => clock.now,
    }) as unknown as RedriveDeps;
  return { clock, lines, queueOf, deps };
}

const task: Task = {
  version: 1,
  runId: 'daily-1',
  ruleId: 'app',
  source: { registry: 'a.example', repository: 'app', tag: '1' },
  destinations: [{ registry: 'b.example', repository: 'app', tag: '1' }],
  platforms: EVERY_PLATFORM,
  force: false,
  plannedAt: 1,
  attempt: 5,
  failure: { class: 'transient', code: 'timeout', message: 'no answer in time' },
};
const plan: PlanMessage = { version: 1, runId: 'daily-1', ruleId: 'app', attempt: 0 };
const many = (count: number) => Array.from({ length: count }, () => formatMessage(task));
const stopAt = { letters: start + STOP_MS, failed: start + STOP_MS };

describe('the time that redrive takes', () => {
  it('is enough to put back very many letters that are not due, and plans come before them', async () => {
    const { clock, queueOf, deps } = surroundings();
    const [tasks, plans] = [queueOf(many(10_000)), queueOf([formatMessage(plan)])];
    const report = await redrive(deps(tasks.letters, plans.letters), { kind: 'due' }, stopAt);
    expect(report).toMatchObject({ left: 10_000, failed: 1 });
    expect(tasks.state).toEqual({ taken: 10_000, removed: 0, putBack: 10_000 });
    expect(plans.state).toMatchObject({ removed: 1 });
    expect(clock.now).toBeLessThan(start + TIMEOUT_MS);
  });

  it('is never exceeded: more letters wait for the next look', async () => {
    const { clock, lines, queueOf, deps } = surroundings();
    const [tasks, plans] = [queueOf(many(30_000)), queueOf([formatMessage(plan)])];
    const report = await redrive(
      deps(tasks.letters, plans.letters),
      { kind: 'asked', filter: { code: 'denied' }, id: '1' },
      stopAt,
    );
    expect(tasks.state.taken).toBeLessThan(30_000);
    expect(report.left).toBe(tasks.state.taken + 1);
    expect(clock.now).toBeLessThan(start + TIMEOUT_MS);
    expect(lines).toEqual([expect.stringContaining('the time is over')]);
  });
});
