import { describe, expect, it } from 'vitest';
import {
  createPace,
  nextPace,
  type PaceSign,
  type PaceState,
  paceBounds,
  startPace,
} from '../../core/registry/pace.ts';

const answers = (count: number, ms: number): PaceSign[] =>
  Array.from({ length: count }, () => ({ kind: 'answer', ms }));
const refusals = (count: number): PaceSign[] => Array.from({ length: count }, () => ({ kind: 'refusal' }));
const after = (signs: PaceSign[], from: PaceState = startPace()) => signs.reduce(nextPace, from).limit;

describe('the pace of questions to a registry', () => {
  const { start, least, most } = paceBounds;
  it.each<[string, PaceSign[], number]>([
    ['stays before as many answers as were in flight', answers(start - 1, 20), start],
    ['doubles after as many fast ones', answers(start, 20), 2 * start],
    ['is at its bound after three rounds', answers(start + 2 * start, 20), most],
    ['grows to its bound and no further', answers(2000, 20), most],
    ['grows while answers are a little slower under load', [...answers(start, 20), ...answers(2000, 50)], most],
    ['does not take a few milliseconds for slowness', [...answers(start, 1), ...answers(2000, 15)], most],
    ['is halved at a refusal', refusals(1), start / 2],
    ['is halved once for all that were on their way', refusals(start), start / 2],
    ['is halved again by the next ones', refusals(start + 2), start / 4],
    ['never stops', refusals(1000), least],
    ['grows by a quarter after a refusal', [...refusals(1), ...answers(16 + 8 + 10, 20)], 13],
  ])('%s', (_, signs, limit) => {
    expect(after(signs)).toBe(limit);
  });

  it('is halved when answers become slow, but not below eight for that alone', () => {
    const fast = answers(2000, 20).reduce(nextPace, startPace());
    const slow = answers(400, 200).reduce(nextPace, fast);
    expect(fast.limit).toBe(most);
    expect(slow.limit).toBe(8);
  });

  it('lets work into its room, as a whole and in order, while that holds less than it may ask at most', async () => {
    const { room } = createPace();
    const inside: string[] = [];
    const enter = (name: string, count: number) => room.enter(count).then(() => inside.push(name));
    const entered = [enter('a', 1000), enter('b', 1), enter('c', 1000), enter('d', 0)];
    await new Promise(setImmediate);
    expect(inside).toEqual(['a']);
    room.leave(1000 - most);
    await new Promise(setImmediate);
    expect(inside).toEqual(['a']);
    room.leave(2);
    await new Promise(setImmediate);
    expect(inside).toEqual(['a', 'b', 'c']);
    room.leave(most + 1000);
    await Promise.all(entered);
  });

  it('holds back what is more than the limit, in order', async () => {
    const pace = createPace();
    const begun: number[] = [];
    const gates = Array.from({ length: start + 2 }, () => Promise.withResolvers<void>());
    const asked = gates.map(({ promise }, at) =>
      pace.ask(() => {
        begun.push(at);
        return promise;
      }),
    );
    await new Promise(setImmediate);
    expect(begun).toEqual(gates.slice(0, start).map((_, at) => at));
    gates[0]?.reject(new Error('no answer'));
    await expect(asked[0]).rejects.toThrow('no answer');
    await new Promise(setImmediate);
    expect(begun.at(-1)).toBe(start);
    for (const { resolve } of gates) resolve();
    await Promise.all(asked.slice(1));
    expect(begun).toHaveLength(start + 2);
  });
});
