import { describe, expect, it } from 'vitest';
import { noCounts } from '../../../core/pipeline/ports/runs.ts';
import { createRates } from '../../../machine/ui/rates.ts';
import { createSessions } from '../../../machine/ui/sessions.ts';
import { createTransfers } from '../../../machine/ui/transfers.ts';
import { bucketsOf } from '../../../ui/buckets.ts';

describe('plots', () => {
  const point = { bytes: 10, copied: 2, failed: 1, inStep: 3 };
  const now = new Date(2026, 10, 24, 12, 30).getTime();

  it('count by the hour for a day', () => {
    const at = (hour: number, minute: number) => new Date(2026, 10, 24, hour, minute).getTime();
    const points = [at(9, 59), at(10, 0), at(10, 59), at(12, 29)].map((time) => ({ ...point, at: time }));
    const { by, list } = bucketsOf(points, now);
    expect([by, list.length, list[0]?.label, list.at(-1)?.label]).toEqual(['hour', 24, '13:00', '12:00']);
    expect(list.slice(-4).map(({ copied }) => copied)).toEqual([2, 4, 0, 2]);
  });

  it('count by the day for what reaches further back, at least a week of them and at most 30', () => {
    const at = (daysAgo: number) => new Date(2026, 10, 24 - daysAgo, 1).getTime();
    const few = bucketsOf([{ ...point, at: at(2) }], now);
    expect([few.by, few.list.length, few.list.at(-1)?.label]).toEqual(['day', 7, '11-24']);
    expect(few.list.map(({ bytes }) => bytes)).toEqual([0, 0, 0, 0, 10, 0, 0]);
    const many = bucketsOf(
      [at(40), at(29), at(9)].map((time) => ({ ...point, at: time })),
      now,
    );
    expect(many.list).toHaveLength(30);
    expect(many.list.reduce((sum, { failed }) => sum + failed, 0)).toBe(2);
  });
});

it('tells the rate of a run from one look to the next', () => {
  const rates = createRates();
  const run = { id: 'r', trigger: 't', startedAt: 0, ruleFailures: [], state: 'running' as const };
  const look = (bytes: number, now: number) => rates.of({ ...run, counts: { ...noCounts, bytes } }, now);
  expect([look(0, 1_000), look(4_000, 3_000), look(9_000, 3_100), look(4_000, 4_000)]).toEqual([
    undefined,
    2_000,
    2_000,
    0,
  ]);
  expect(rates.of({ ...run, state: 'done', counts: noCounts }, 5_000)).toBeUndefined();
});

it('lists the blobs on their way, of machines that number them alike', () => {
  const transfers = createTransfers(() => 7);
  const [one, two] = [transfers.watch(() => {}), transfers.watch(() => {})];
  const repository = { registry: 'a.example', repository: 'app' };
  const blob = { digest: 'sha256:1', size: 9, source: repository, destinations: [repository] };
  one({ type: 'blob-started', id: 1, ...blob });
  two({ type: 'blob-started', id: 1, ...blob, size: 8 });
  two({ type: 'blob-progress', id: 1, bytes: 4 });
  expect(transfers.list().map(({ size, bytes }) => [size, bytes])).toEqual([
    [9, 0],
    [8, 4],
  ]);
  two({ type: 'blob-finished', id: 1, ok: true });
  expect(transfers.list()).toMatchObject([{ size: 9, source: 'a.example/app', startedAt: 7 }]);
});

describe('a login', () => {
  const open = () => {
    const clock = { now: 1_000_000 };
    const sessions = createSessions({ token: 'a good long token', path: '/ui/', port: () => 81, now: () => clock.now });
    return { clock, sessions };
  };
  const cookieOf = (header: string) => header.split(';', 1)[0];

  it('lasts for 12 hours, or until its end', () => {
    const { clock, sessions } = open();
    const result = sessions.login('a good long token', '10.0.0.1');
    if (result.kind !== 'in') throw new Error('not in');
    expect(result.cookie).toMatch(/^tranship_81=[\w-]{43}; Path=\/ui\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    const cookies = `other=1; ${cookieOf(result.cookie)}`;
    expect(sessions.isIn(cookies)).toBe(true);
    expect(sessions.isIn(cookies.replace('tranship_81', 'tranship_82'))).toBe(false);
    expect(sessions.isIn(undefined)).toBe(false);
    clock.now += 12 * 3_600_000 + 1;
    expect(sessions.isIn(cookies)).toBe(false);
  });

  it('is taken away at the server', () => {
    const { sessions } = open();
    const result = sessions.login('a good long token', '10.0.0.1');
    const cookies = result.kind === 'in' ? cookieOf(result.cookie) : '';
    expect(sessions.logout(cookies)).toMatch(/^tranship_81=; .*Max-Age=0$/);
    expect(sessions.isIn(cookies)).toBe(false);
  });

  it('is refused unseen for a minute after ten wrong ones from one address, but for the right one', () => {
    const { clock, sessions } = open();
    const wrong = () => sessions.login('a good long tokem', '10.0.0.1').kind;
    expect(Array.from({ length: 10 }, wrong)).toEqual(Array.from({ length: 10 }, () => 'wrong'));
    clock.now += 20_000;
    expect(sessions.login('a good long tokem', '10.0.0.1')).toEqual({ kind: 'later', seconds: 40 });
    expect(sessions.login('a good long tokem', '10.0.0.2').kind).toBe('wrong');
    // Behind a proxy all have one address.
    expect(sessions.login('a good long token', '10.0.0.1').kind).toBe('in');
    clock.now += 40_000;
    expect(wrong()).toBe('wrong');
    expect(sessions.login('a good long token', '10.0.0.1').kind).toBe('in');
  });
});
