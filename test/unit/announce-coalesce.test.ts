import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Announcement } from '../../core/announce/announcement.ts';
import { createCoalescer } from '../../core/announce/coalesce.ts';
import type { Digest } from '../../core/model/reference.ts';

const digestOf = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const announce = (tag: string, letter?: string): Announcement => ({
  kind: 'push',
  repository: { registry: 'registry.example.com', repository: 'team/app' },
  tag,
  ...(letter !== undefined && { digest: digestOf(letter) }),
  sender: 'plain',
});

function open(windowMs: number) {
  const clock = { now: 1_000_000 };
  const coalescer = createCoalescer({ windowMs, now: () => clock.now });
  /** @returns whether the announcement leads to a task */
  const take = (announcement: Announcement, settleMs = 0): boolean => {
    const fresh = coalescer.fresh([announcement], settleMs);
    coalescer.noteSent(fresh, clock.now);
    return fresh.length > 0;
  };
  return { clock, coalescer, take };
}

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
    const { clock, take } = open(3000);
    expect(take(announce('1'), 2000)).toBe(true);
    clock.now += 999;
    expect(take(announce('1'), 2000)).toBe(false);
    clock.now += 1;
    expect(take(announce('1'), 2000)).toBe(true);
  });

  it('are not forgotten where they could not be stored', () => {
    const { coalescer } = open(1000);
    expect(coalescer.fresh([announce('1', 'a')], 0)).toHaveLength(1);
    expect(coalescer.fresh([announce('1', 'a')], 0)).toHaveLength(1);
  });

  /**
   * A model of a registry's tag: whatever is pushed and announced in whatever order, the last task sees the tag's last state, since
   * it runs after the last change, or waits for the digest of it.
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
