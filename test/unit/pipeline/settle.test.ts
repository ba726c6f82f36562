import { describe, expect, it } from 'vitest';
import type { CutOff } from '../../../core/copy/cut-off.ts';
import type { Failure } from '../../../core/model/errors.ts';
import type { Target } from '../../../core/model/reference.ts';
import { outcomeOf } from '../../../core/pipeline/outcome.ts';
import type { Task } from '../../../core/pipeline/ports/queue.ts';
import type { Outcome } from '../../../core/pipeline/ports/runs.ts';
import { deadLetterOf, settleParked, settleTask, settleUnrecorded } from '../../../core/pipeline/settle.ts';
import type { TaskEnd } from '../../../core/pipeline/task-end.ts';
import { cloudPolicy, runPolicy, type TryPolicy } from '../../../core/pipeline/try-policy.ts';

const NOW = 1_000_000;
const to = (name: string): Target => ({ registry: `${name}.example`, repository: 'app', tag: 'v1' });
const [one, two, three] = [to('one'), to('two'), to('three')];
const task: Task = {
  version: 1,
  runId: 'run',
  ruleId: 'rule',
  source: to('source'),
  destinations: [one, two, three],
  platforms: { platforms: [], os: [], arch: [] },
  force: false,
  plannedAt: NOW - 1000,
  attempt: 0,
};
const denied: Failure = { class: 'permanent', code: 'denied', message: 'no right to push' };
const slow: Failure = { class: 'transient', code: 'timeout', message: 'no answer' };
const throttled = (registry: string, inMs: number): Failure => ({
  class: 'throttled',
  code: 'throttled',
  message: 'too many requests',
  registry,
  retryAt: NOW + inMs,
});

const copied = (target: Target): Outcome => outcomeOf(task, target, { result: 'copied', at: NOW });
const failed = (target: Target, failure: Failure, fields: Partial<Outcome> = {}): Outcome =>
  outcomeOf(task, target, { result: 'failed', failure, at: NOW, ...fields });
const ended = (outcomes: Outcome[], busy: Target[] = [], cutOffs: Target[] = []): TaskEnd => ({
  kind: 'ended',
  outcomes,
  busy,
  cutOffs: new Map(cutOffs.map((target) => [target, halfway])),
});

/** 6 of 12 GB, in ten minutes. */
const halfway: CutOff = { digest: `sha256:${'a'.repeat(64)}`, size: 12e9, bytes: 6e9, ms: 600_000 };

const run = runPolicy({ retries: 2, maxWaitMs: 60_000 });
const cloud = cloudPolicy({ tries: 3, backoffMs: 30_000 });
const state = { now: NOW, waitingSince: () => NOW, random: () => 1 };
const nothing = { succeeded: [], failed: [], givenUp: [], next: [], parks: [] };

describe('a task whose rule has spent its budget', () => {
  const { registry: _none, ...spent } = throttled('', 30_000);

  it('waits alone where nobody waits for the run: no registry is left alone for it', () => {
    expect(settleTask(task, ended([failed(one, spent)]), cloud, { ...state, random: () => 0 })).toMatchObject({
      parks: [],
      givenUp: [],
      next: [{ why: 'waits', delay: { kind: 'after', ms: 30_000 }, task: { destinations: [one] } }],
    });
  });

  it('is deferred where somebody waits for the run', () => {
    expect(settleTask(task, ended([failed(one, spent)]), run, state)).toMatchObject({
      parks: [],
      next: [],
      failed: [],
      givenUp: [{ result: 'deferred', failure: spent }],
    });
  });
});

describe('a task that was tried', () => {
  it('ends where its destinations are equal, or cannot be made so', () => {
    const settlement = settleTask(task, ended([copied(one), failed(two, denied)]), run, state);
    const { platforms } = task;
    expect(settlement).toEqual({
      ...nothing,
      succeeded: [copied(one)],
      failed: [{ ...failed(two, denied), platforms }],
    });
  });

  it.each([
    { pulls: { pulls: 1, windowMs: 60_000 } },
    { referrers: { types: [] } },
    { require: { keys: [], identities: [] } },
  ] as unknown as Array<Partial<Task>>)(
    'is left to the next run where its rule says %j, which no outcome holds',
    (terms) => {
      const { failed: [outcome] = [] } = settleTask({ ...task, ...terms }, ended([failed(one, denied)]), run, state);
      expect(outcome).toMatchObject({ result: 'failed' });
      expect(outcome?.platforms).toBeUndefined();
    },
  );

  it.each([
    [run, { kind: 'next-round' }],
    [cloud, { kind: 'after', ms: 30_000 }],
  ])('is tried again for the destinations that failed for the moment', (policy, delay) => {
    const { next, ...rest } = settleTask(
      task,
      ended([failed(one, slow), copied(two), failed(three, slow)]),
      policy,
      state,
    );
    expect(next).toEqual([
      { why: 'again', delay, task: { ...task, destinations: [one, three], attempt: 1, failure: slow } },
    ]);
    expect(rest).toEqual({ succeeded: [copied(two)], failed: [], givenUp: [], parks: [] });
  });

  it('waits longer after each try on AWS, up to a quarter of an hour', () => {
    const delays = [0, 1, 2, 20].map(
      (attempt) =>
        settleTask({ ...task, attempt }, ended([failed(one, slow)]), { ...cloud, tries: 99 }, state).next[0]?.delay,
    );
    expect(delays).toEqual([30_000, 60_000, 120_000, 900_000].map((ms) => ({ kind: 'after', ms })));
  });

  it('tries a refused login again on AWS, where a new password may be on its way, and fails with the last try', () => {
    const refused: Failure = { class: 'permanent', code: 'unauthorized', message: 'status 401' };
    const at = (attempt: number, policy: TryPolicy) =>
      settleTask({ ...task, attempt }, ended([failed(one, refused)]), policy, state);
    expect(at(0, cloud)).toMatchObject({ next: [{ why: 'again', delay: { ms: 30_000 } }], failed: [] });
    expect(at(2, cloud)).toMatchObject({ next: [], givenUp: [], failed: [{ failure: refused }] });
    expect(at(0, run)).toMatchObject({ next: [], givenUp: [], failed: [{ failure: refused }] });
  });

  it('is given up after its last try', () => {
    const last = { ...task, attempt: 2 };
    expect(settleTask(last, ended([failed(one, slow)]), run, state)).toMatchObject({
      next: [],
      failed: [],
      givenUp: [{ result: 'failed', destination: one, failure: slow }],
    });
  });

  it('waits for each throttling registry on its own, without counting a try, and parks it', () => {
    const end = ended([failed(one, throttled('one.example', 5000)), failed(two, throttled('two.example', 9000))]);
    const { next, parks, givenUp } = settleTask(task, end, run, state);
    expect(parks).toEqual([
      { registry: 'one.example', until: NOW + 5000, reason: 'too many requests' },
      { registry: 'two.example', until: NOW + 9000, reason: 'too many requests' },
    ]);
    expect(next).toMatchObject([
      { why: 'waits', delay: { kind: 'after', ms: 5000 }, task: { destinations: [one], attempt: 0 } },
      { why: 'waits', delay: { kind: 'after', ms: 9000 }, task: { destinations: [two], attempt: 0 } },
    ]);
    expect(givenUp).toEqual([]);
  });

  it('waits once for a source that throttles all destinations', () => {
    const failure = throttled('source.example', 5000);
    const { next, parks } = settleTask(task, ended([failed(one, failure), failed(two, failure)]), cloud, state);
    expect(parks).toHaveLength(1);
    expect(next).toMatchObject([{ task: { destinations: [one, two] }, delay: { ms: 35_000 } }]);
  });

  it.each([
    ['it asks for too long a pause', 60_001, NOW],
    ['it was waited for too long already', 1000, NOW - 60_001],
  ])('defers what waits for a registry where %s', (_why, inMs, since) => {
    const end = ended([failed(one, throttled('one.example', inMs))]);
    const settlement = settleTask(task, end, run, { ...state, waitingSince: () => since });
    expect(settlement).toMatchObject({ next: [], givenUp: [{ result: 'deferred', destination: one }] });
    expect(settlement.parks).toHaveLength(1);
  });

  it('leaves a registry that names no time alone for a minute', () => {
    const { retryAt: _none, ...failure } = throttled('one.example', 0);
    const { parks } = settleTask(task, ended([failed(one, failure)]), cloud, state);
    expect(parks).toEqual([{ registry: 'one.example', until: NOW + 60_000, reason: 'too many requests' }]);
  });

  it('looks again soon where another worker is writing', () => {
    expect(settleTask(task, ended([copied(one)], [two]), run, state).next).toEqual([
      { why: 'busy', task: { ...task, destinations: [two] }, delay: { kind: 'after', ms: 1000 } },
    ]);
  });

  it('comes back unchanged where the source is not yet what was announced', () => {
    expect(settleTask(task, { kind: 'early', again: NOW + 70 }, run, state)).toEqual({
      ...nothing,
      next: [{ why: 'early', task, delay: { kind: 'after', ms: 70 } }],
    });
  });

  it('is tried at once where the missing repository was created', () => {
    const missing: Failure = { class: 'permanent', code: 'not-found', message: 'no such repository' };
    const end = ended([failed(one, missing), failed(two, missing)]);
    const { next, failed: rest } = settleTask(task, end, cloud, { ...state, created: [one] });
    expect(next).toMatchObject([{ why: 'again', task: { destinations: [one], attempt: 1 }, delay: { ms: 0 } }]);
    expect(rest).toMatchObject([{ destination: two }]);
  });

  it('is handed over when the time of its worker is over, and counts a try only where nothing arrived', () => {
    const end = ended([failed(one, slow, { bytes: 500 }), failed(two, slow)]);
    const last = { ...task, attempt: 2 };
    const settlement = settleTask(last, end, cloud, { ...state, isTimeOver: true });
    expect(settlement.next).toMatchObject([
      { why: 'handed-over', task: { destinations: [one], attempt: 2 }, delay: { kind: 'after', ms: 0 } },
    ]);
    expect(settlement.givenUp).toMatchObject([{ destination: two }]);
  });

  const bytesCame = { bytes: 500 };
  it.each([
    // what arrived, cut off in the middle of a blob, cut-offs before -> what follows
    ['nothing moved', {}, false, 0, { why: 'handed-over', attempt: 1, cutOffs: 0 }],
    ['nothing moved after a cut-off', {}, false, 1, { why: 'handed-over', attempt: 1, cutOffs: 1 }],
    ['a blob was cut off', {}, true, 0, { why: 'handed-over', attempt: 0, cutOffs: 1 }],
    ['a blob was cut off again', {}, true, 1, { why: 'too-long', attempt: 0, cutOffs: 2 }],
    ['a blob was cut off, others arrived', bytesCame, true, 0, { why: 'handed-over', attempt: 0, cutOffs: undefined }],
    ['others arrived after a cut-off', bytesCame, true, 1, { why: 'handed-over', attempt: 0, cutOffs: undefined }],
  ] as const)('goes on when the time of its worker is over: %s', (_what, arrived, isCutOff, cutOffs, follows) => {
    const end = ended([failed(one, slow, arrived)], [], isCutOff ? [one] : []);
    const { next, ...rest } = settleTask({ ...task, cutOffs }, end, cloud, { ...state, isTimeOver: true });
    const [{ why, task: sent, delay } = { why: undefined, task, delay: undefined }] = next;
    expect({ why, attempt: sent.attempt, cutOffs: sent.cutOffs }).toEqual(follows);
    expect([next.length, delay, rest]).toEqual([
      1,
      { kind: 'after', ms: 0 },
      { succeeded: [], failed: [], givenUp: [], parks: [] },
    ]);
  });

  it('waits for a long worker with the layer, its size, its rate and what to do', () => {
    const end = ended([failed(one, slow), failed(two, slow)], [], [one, two]);
    const { next } = settleTask({ ...task, cutOffs: 1, attempt: 2 }, end, cloud, { ...state, isTimeOver: true });
    expect(next).toMatchObject([{ why: 'too-long', task: { destinations: [one, two], attempt: 2 } }]);
    expect(next[0]?.task.failure).toMatchObject({
      class: 'transient',
      code: 'timeout',
      message: expect.stringMatching(
        /^the layer sha256:a{64} has 12000 MB and came at 10 MB a second: it needs 20 min, and a worker had 10\./,
      ),
      mend: expect.stringContaining('tranship worker --stack NAME'),
    });
  });

  it('counts no cut-off where nobody bounds the time', () => {
    const { next } = settleTask(task, ended([failed(one, slow)], [], [one]), cloud, state);
    expect(next).toMatchObject([{ why: 'again', task: { attempt: 1 } }]);
    expect(next[0]?.task.cutOffs).toBeUndefined();
  });

  it('remembers where the tag was written, or may have been, before it failed', () => {
    const end = { ...ended([failed(one, slow), failed(two, slow)]), written: [two] };
    expect(settleTask(task, end, run, state).next.map(({ task: next }) => [next.destinations, next.written])).toEqual([
      [[one], undefined],
      [[two], true],
    ]);
  });

  it.each([
    ['copied', 0, { why: 'again', task: { ...task, destinations: [one], attempt: 1, written: true } }],
    ['copied', 2, undefined],
    ['unchanged', 0, undefined],
  ] as const)('looks again where %s could not be recorded after try %i', (result, attempt, next) => {
    const outcomes = [outcomeOf(task, one, { result, at: NOW })];
    const found = settleUnrecorded({ ...task, attempt }, outcomes, run);
    if (next === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(next);
  });

  it('loses no destination, whatever they ended in', () => {
    const ends = [
      copied,
      (t: Target) => failed(t, denied),
      (t: Target) => failed(t, slow),
      (t: Target) => failed(t, throttled(t.registry, 10)),
    ];
    for (const [a, b, c] of ends.flatMap((x) => ends.flatMap((y) => ends.map((z) => [x, y, z] as const)))) {
      for (const attempt of [0, 2]) {
        const {
          succeeded,
          failed: lost,
          givenUp,
          next,
        } = settleTask({ ...task, attempt }, ended([a(one), b(two), c(three)]), cloud, state);
        const ended_ = [...succeeded, ...lost, ...givenUp].map(({ destination }) => destination);
        const open = next.flatMap((message) => message.task.destinations);
        expect([...ended_, ...open].map(({ registry }) => registry).sort()).toEqual([
          'one.example',
          'three.example',
          'two.example',
        ]);
      }
    }
  });
});

describe('a task of which a parked registry holds some back', () => {
  const park = { registry: 'two.example', until: NOW + 7000, reason: 'quota' };

  it('goes on with the others', () => {
    const { free, settlement } = settleParked(task, [park], run, state);
    expect(free?.destinations).toEqual([one, three]);
    expect(settlement.next).toMatchObject([{ why: 'waits', task: { destinations: [two] }, delay: { ms: 7000 } }]);
  });

  it('waits as a whole where its source is parked', () => {
    const { free, settlement } = settleParked(task, [{ ...park, registry: 'source.example' }], run, state);
    expect(free).toBeUndefined();
    expect(settlement.next).toMatchObject([{ task: { destinations: [one, two, three] } }]);
  });

  it('is not touched by the parks of others', () => {
    expect(settleParked(task, [{ ...park, registry: 'else.example' }], run, state)).toEqual({
      free: task,
      settlement: nothing,
    });
  });
});

describe('a dead letter', () => {
  it('holds what was given up, with the reason', () => {
    expect(deadLetterOf(task, [])).toBeUndefined();
    expect(deadLetterOf(task, [failed(two, slow)])).toEqual({ ...task, destinations: [two], failure: slow });
  });
});
