import { describe, expect, it } from 'vitest';
import { createSlots } from '../../core/model/slots.ts';

describe('slots', () => {
  it('let so many work at a time, in the order of the calls, also after failures', async () => {
    const slots = createSlots(3);
    const begun: number[] = [];
    let [working, most] = [0, 0];
    const work = async (position: number) => {
      begun.push(position);
      working += 1;
      most = Math.max(most, working);
      await Promise.resolve();
      working -= 1;
      if (position % 7 === 0) throw new Error(`no ${position}`);
      return position;
    };
    const positions = Array.from({ length: 5000 }, (_, position) => position);
    const ends = await Promise.allSettled(positions.map((position) => slots(() => work(position))));
    expect(begun).toEqual(positions);
    expect(most).toBe(3);
    for (const [position, end] of ends.entries()) {
      if (position % 7 === 0) expect(end).toMatchObject({ reason: new Error(`no ${position}`) });
      else expect(end).toEqual({ status: 'fulfilled', value: position });
    }
    // All three are free again.
    const { promise: never } = Promise.withResolvers<void>();
    for (let busy = 0; busy < 2; busy += 1) void slots(() => never);
    expect(await slots(async () => 'third')).toBe('third');
  });

  it('are taken several at a time, and nobody overtakes whoever waits for them', async () => {
    const slots = createSlots(3);
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const begin = (name: string, taken: number) =>
      slots(() => {
        begun.push(name);
        return new Promise<void>((end) => ends.set(name, end));
      }, taken);
    const works = [begin('two', 2), begin('all', 100), begin('one', 1)];
    const settle = () => new Promise((come) => setImmediate(come));
    await settle();
    // One is free, and is kept for the second.
    expect(begun).toEqual(['two']);
    ends.get('two')?.();
    await settle();
    expect(begun).toEqual(['two', 'all']);
    ends.get('all')?.();
    await settle();
    expect(begun).toEqual(['two', 'all', 'one']);
    ends.get('one')?.();
    await Promise.all(works);
  });
});
