import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { formatMessage, parsePlan, parsePlannerMessage, parseTask } from '../../core/pipeline/messages.ts';
import type { EndCheck, PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const task: Task = {
  version: 1,
  runId: 'run-1',
  ruleId: 'nginx:1.*, twice',
  source: { registry: 'docker.io', repository: 'library/nginx', tag: '1.27' },
  destinations: [
    { registry: '127.0.0.1:5000', repository: 'mirror/nginx', tag: '1.27' },
    { registry: '[::1]:5000', repository: 'nginx', digest },
  ],
  platforms: { platforms: ['linux/amd64'], os: [], arch: [] },
  endpoints: [{ registry: 'mirror.gcr.io', path: '' }],
  pulls: { pulls: 80, windowMs: 21_600_000 },
  force: false,
  plannedAt: 1_800_000_000_000,
  hint: digest,
  attempt: 3,
};
const plan: PlanMessage = { version: 1, runId: 'run-1', ruleId: 'nginx', after: '1.27', attempt: 0 };

function thrownBy(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe('messages', () => {
  it('come back as they were sent, with the time they wait for', () => {
    expect(parseTask(formatMessage(task))).toEqual({ message: task });
    expect(parseTask(formatMessage(task, 5))).toEqual({ message: task, notBefore: 5 });
    const pushed: Task = { ...task, pushed: true, settleUntil: 1_800_000_003_000, seen: 'nothing' };
    expect(parseTask(formatMessage(pushed))).toEqual({ message: pushed });
    expect(parsePlan(formatMessage(plan))).toEqual({ message: plan });
    const doomed: Task = { ...task, deletion: 'unselected' };
    expect(parseTask(formatMessage(doomed))).toEqual({ message: doomed });
    const deletions: PlanMessage = { ...plan, repository: 'team/app', deletions: true };
    expect(parsePlan(formatMessage(deletions))).toEqual({ message: deletions });
    const { after: _after, ...first } = plan;
    expect(parsePlan(formatMessage(first, 7))).toEqual({ message: first, notBefore: 7 });
  });

  it('carry why a task is tried again, and what a planner must know of its run', () => {
    const failure = {
      class: 'transient',
      code: 'server-error',
      message: '503',
      registry: 'a.test',
      status: 503,
    } as const;
    const again: Task = { ...task, failure, redriven: 2 };
    expect(parseTask(formatMessage(again))).toEqual({ message: again });
    const more = { ...again, failure: { ...failure, cause: 'hush', mend: 7 } };
    expect(parseTask(JSON.stringify(more))).toEqual({ message: again });
    const forced: PlanMessage = { ...plan, force: true, runStartedAt: 5 };
    expect(parsePlannerMessage(formatMessage(forced))).toEqual({ message: forced });
    const check: EndCheck = { version: 1, kind: 'end-check', runId: 'run-1', attempt: 3 };
    expect(parsePlannerMessage(formatMessage(check, 7))).toEqual({ message: check, notBefore: 7 });
    expect(() => parsePlannerMessage(JSON.stringify({ ...check, runId: '' }))).toThrow(
      "end check: runId is not a run's id",
    );
  });

  it('lose fields that nobody knows', () => {
    expect(parseTask(JSON.stringify({ ...task, password: 'x' })).message).toEqual(task);
  });

  it.each([
    [{ runId: 'a#b' }, "task message: runId is not a run's id"],
    [{ runId: undefined }, 'task message has no "runId"'],
    [{ ruleId: '' }, 'task message: ruleId is empty'],
    [{ source: 'docker.io/library/nginx' }, 'task message: source must be a map, and is text'],
    [
      { source: { ...task.source, registry: 'evil.test/path' } },
      'task message: source.registry is not the name of a registry',
    ],
    [
      { source: { ...task.source, repository: '../x' } },
      'task message: source.repository is not the name of a repository',
    ],
    [{ source: { ...task.source, tag: '-x' } }, 'task message: source.tag is not a tag'],
    [{ source: { ...task.source, digest } }, 'task message: source has not exactly one of tag and digest'],
    [{ destinations: [] }, 'task message: destinations is empty'],
    [
      { destinations: [task.source, { ...task.source, tag: 7 }] },
      'task message: destinations[1].tag must be text, and is a number',
    ],
    [{ platforms: { platforms: [], os: [] } }, 'task message: platforms has no "arch"'],
    [{ force: 'yes' }, 'task message: force must be true or false, and is text'],
    [{ plannedAt: -1 }, 'task message: plannedAt is not a whole number'],
    [{ hint: 'sha256:abc' }, 'task message: hint is not a digest'],
    [{ failure: { class: 'odd', code: 'x', message: '' } }, 'task message: failure.class is unknown'],
    [{ failure: 'no answer' }, 'task message: failure must be a map, and is text'],
    [{ redriven: -1 }, 'task message: redriven is not a whole number'],
    [{ attempt: 1.5 }, 'task message: attempt is not a whole number'],
    [{ notBefore: 'soon' }, 'task message: notBefore must be a number, and is text'],
  ])('with %j are refused', (fields, message) => {
    const thrown = thrownBy(() => parseTask(JSON.stringify({ ...task, ...fields })));
    expect(thrown).toMatchObject({ class: 'permanent', code: 'protocol', message });
  });

  it('of another version are told apart from broken ones', () => {
    for (const version of [0, 1.5, 2]) {
      const thrown = thrownBy(() => parsePlan(JSON.stringify({ ...plan, version })));
      expect(thrown).toMatchObject({ class: 'permanent', code: 'unsupported' });
    }
    for (const version of [undefined, null, '1', 'two', [1], true]) {
      const thrown = thrownBy(() => parsePlan(JSON.stringify({ ...plan, version })));
      expect(thrown).toMatchObject({ class: 'permanent', code: 'protocol' });
    }
    for (const text of ['{}', '[]', 'null', '1', '{"kind":"end-check"}']) {
      const thrown = thrownBy(() => parsePlannerMessage(text));
      expect(thrown).toMatchObject({ class: 'permanent', code: 'protocol' });
    }
  });

  it('are refused with an error of ours, which does not quote them, whatever they are', () => {
    const noise = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ version: fc.constant(1), source: fc.anything(), destinations: fc.anything() }).map((value) => {
        return JSON.stringify(value, (_, entry) => (typeof entry === 'bigint' ? String(entry) : entry));
      }),
    );
    fc.assert(
      fc.property(noise, (text) => {
        for (const parse of [parseTask, parsePlan]) expect(() => parse(text)).toThrow(TranshipError);
      }),
    );
    expect(thrownBy(() => parseTask('{"secret-value')).message).toBe('task message is not a JSON object');
  });
});
