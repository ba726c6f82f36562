import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Announcement } from '../../core/announce/announcement.ts';
import { decideIntake, type Intake } from '../../core/announce/intake.ts';
import { createIntakeMemory } from '../../core/announce/intake-memory.ts';
import { indexRules } from '../../core/announce/match.ts';
import type { Digest } from '../../core/model/reference.ts';
import { loadRules } from '../../core/rules/load-rules.ts';

const digestOf = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const announce = (tag: string, letter?: string, repository = 'team/app'): Announcement => ({
  kind: 'push',
  repository: { registry: 'registry.example.com', repository },
  tag,
  ...(letter !== undefined && { digest: digestOf(letter) }),
  dialect: 'plain',
});
const { rules } = loadRules(
  `version: 1
rules:
  - { name: all, from: registry.example.com/team/app, to: [a.example/app, b.example/app] }
  - { name: newest, from: registry.example.com/team/lib, tags: { newest: 3 }, to: a.example/lib }
  - { name: mirror, from: registry.example.com/team/tool, tags: "1.*", to: a.example/tool, delete: mirror }
`,
  { file: 'tranship.yaml', env: {} },
);
const index = indexRules(rules);

/** An intake that stores all it decides. */
function open(gatherMs: number) {
  const clock = { now: 1_000_000 };
  const memory = createIntakeMemory();
  const decide = (announcements: Announcement[], settleMs = 0): Intake =>
    decideIntake(announcements, { rules: index, memory, gatherMs, settleMs, runId: 'run', now: clock.now });
  const store = (announcements: Announcement[], settleMs = 0): Intake => {
    const intake = decide(announcements, settleMs);
    memory.note(intake);
    return intake;
  };
  /** @returns whether the announcement leads to work of its own */
  const take = (announcement: Announcement, settleMs = 0): boolean =>
    store([announcement], settleMs).results[0]?.fate === 'queued';
  return { clock, memory, decide, store, take };
}

const fatesOf = ({ results }: Intake) => results.map(({ fate }) => fate);

describe('an intake', () => {
  it('gives each announcement its fate, in their order', () => {
    const { decide } = open(1000);
    const { tag: _, ...byDigest }: Announcement = { ...announce('', 'a'), dialect: 'distribution' };
    const deletion: Announcement = { ...announce('1'), kind: 'delete' };
    const intake = decide([
      announce('1'),
      announce('1'),
      announce('1', undefined, 'team/other'),
      announce('1', undefined, 'team/other'),
      byDigest,
      deletion,
      announce('2', undefined, 'team/lib'),
    ]);
    expect(fatesOf(intake)).toEqual(['merged', 'queued', 'unmatched', 'unmatched', 'by-digest', 'deletion', 'queued']);
    expect(intake.waves).toMatchObject([{ delayMs: 1000, tasks: [{ ruleId: 'all', source: { tag: '1' } }] }]);
    expect(intake.replan).toEqual({ plans: [{ ruleId: 'newest' }], delayMs: 1000 });
  });

  it('lets a task run at once that knows its digest, and says until when the tag may not be there', () => {
    const { clock, decide } = open(1000);
    const { waves } = decide([announce('1', 'a'), announce('2')], 2000);
    expect(waves.map(({ delayMs }) => delayMs)).toEqual([0, 3000]);
    expect(waves[0]?.tasks).toMatchObject([{ hint: digestOf('a'), settleUntil: clock.now + 3000 }]);
  });

  it('plans a rule once for what comes before the planning', () => {
    const { clock, store } = open(1000);
    const plans = () =>
      store([announce('1', undefined, 'team/lib'), announce('2', undefined, 'team/lib')]).replan.plans;
    expect(plans()).toEqual([{ ruleId: 'newest' }]);
    clock.now += 500;
    expect(store([announce('3', undefined, 'team/lib')]).replan.plans).toEqual([]);
    clock.now += 500;
    expect(plans()).toEqual([{ ruleId: 'newest' }]);
  });

  it('plans the deletions of a rule, once, and the whole rule where there is other work of it', () => {
    const { store, clock } = open(1000);
    const gone = (tag?: string): Announcement => ({ ...announce(tag ?? '', 'a', 'team/tool'), tag, kind: 'delete' });
    const intake = store([gone('1.1'), gone('1.2'), gone(), gone('2.0')]);
    expect(fatesOf(intake)).toEqual(['queued', 'queued', 'queued', 'unmatched']);
    expect(intake.replan.plans).toEqual([{ ruleId: 'mirror', deletions: true }]);
    expect(store([gone('1.3')]).replan.plans).toEqual([]);
    clock.now += 1000;
    const both = store([gone('1.4'), announce('1.5', 'b', 'team/tool'), announce('7')]);
    expect(both.replan.plans).toEqual([{ ruleId: 'mirror' }]);
    expect(both.waves.flatMap(({ tasks }) => tasks.map(({ ruleId }) => ruleId))).toEqual(['all']);
    // The whole rule is planned soon: that sees what else is gone.
    expect(store([gone('1.6')]).replan.plans).toEqual([]);
  });

  it('drops nothing of a large batch', () => {
    const { decide } = open(1000);
    const batch = Array.from({ length: 3000 }, (_, at) => announce(`t${at}`));
    const { waves, results } = decide(batch);
    expect(waves.flatMap(({ tasks }) => tasks)).toHaveLength(3000);
    expect(results).toHaveLength(3000);
  });

  it('remembers nothing of what leads to nothing: a rule may take it later', () => {
    const { store } = open(1000);
    const other = announce('1', undefined, 'team/other');
    expect([...fatesOf(store([other])), ...fatesOf(store([other]))]).toEqual(['unmatched', 'unmatched']);
  });
});

describe('announcements of one push', () => {
  it('are one task, until its window is over', () => {
    for (const letter of [undefined, 'a']) {
      const { clock, take } = open(1000);
      expect([take(announce('1', letter)), take(announce('1', letter)), take(announce('2', letter))]).toEqual([
        true,
        false,
        true,
      ]);
      clock.now += 999;
      expect(take(announce('1', letter))).toBe(false);
      clock.now += 1;
      expect(take(announce('1', letter))).toBe(true);
    }
  });

  it('are more than one where the tag moved in between, and back', () => {
    const { take } = open(1000);
    expect(['a', 'b', 'a', 'a'].map((letter) => take(announce('1', letter)))).toEqual([true, true, true, false]);
  });

  it('that do not tell the digest are not covered by a task that may have run', () => {
    const { take } = open(1000);
    expect([take(announce('1', 'a')), take(announce('1'))]).toEqual([true, true]);
  });

  it('that come before their tag are covered by a task that is late enough', () => {
    const { clock, take } = open(1000);
    expect(take(announce('1'), 2000)).toBe(true);
    clock.now += 999;
    expect(take(announce('1'), 2000)).toBe(false);
    clock.now += 1;
    expect(take(announce('1'), 2000)).toBe(true);
  });

  it('are not forgotten where they could not be stored', () => {
    const { decide } = open(1000);
    expect(fatesOf(decide([announce('1', 'a')]))).toEqual(['queued']);
    expect(fatesOf(decide([announce('1', 'a')]))).toEqual(['queued']);
  });

  it('lead to work of their own when the clock was set back, which they would wait for else', () => {
    const { clock, take, store } = open(1000);
    for (const letter of [undefined, 'a']) take(announce('1', letter));
    store([announce('1', undefined, 'team/lib')]);
    clock.now -= 3_600_000;
    expect(take(announce('1', 'a'))).toBe(true);
    expect(store([announce('1', undefined, 'team/lib')]).replan.plans).toEqual([{ ruleId: 'newest' }]);
  });

  it('are taken anew after the memory was cleared', () => {
    const { memory, take } = open(1000);
    take(announce('1', 'a'));
    memory.clear();
    expect(take(announce('1', 'a'))).toBe(true);
  });

  /**
   * A model of a registry's tag: whatever is pushed and announced in whatever order, the last task sees the tag's last
   * state, since it runs after the last change, or waits for the digest of it.
   */
  it('always leave a task that sees the last of them', () => {
    const event = fc.record({ after: fc.integer({ min: 0, max: 1500 }), letter: fc.constantFrom('a', 'b', undefined) });
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 20 }), (events) => {
        const windowMs = 1000;
        const { clock, take } = open(windowMs);
        let seen: string | undefined;
        let pushed = '';
        let waiting: number | undefined;
        for (const [at, { after, letter }] of events.entries()) {
          clock.now += after;
          if (waiting !== undefined && waiting <= clock.now) {
            seen = pushed;
            waiting = undefined;
          }
          pushed = letter ?? `other ${at}`;
          if (!take(announce('1', letter))) continue;
          if (letter === undefined) waiting ??= clock.now + windowMs;
          else seen = pushed;
        }
        expect(waiting === undefined ? seen : pushed).toBe(pushed);
      }),
    );
  });
});
