import { describe, expect, it } from 'vitest';
import { TranshipError } from '../../core/model/errors.ts';
import { kept } from '../../core/model/kept.ts';

/** A store whose reads end when the test says so, and a clock that stands still. */
function slowStore() {
  const reads: Array<PromiseWithResolvers<string>> = [];
  const waits: Array<() => void> = [];
  const clock = {
    time: 1_000_000,
    now: () => clock.time,
    wait: (ms: number) =>
      new Promise<void>((resolve) => {
        waits.push(() => {
          clock.time += ms;
          resolve();
        });
      }),
  };
  const get = kept(async () => {
    const read = Promise.withResolvers<string>();
    reads.push(read);
    return { value: await read.promise, until: clock.time + 60_000 };
  }, clock);
  return { reads, waits, clock, get };
}

/** Lets promises that are settled have their effect. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a kept value', () => {
  it('that is refused to two requests at once is read once, and both get the new one', async () => {
    const { reads, clock, get } = slowStore();
    const first = get(false);
    reads[0]?.resolve('old');
    expect(await first).toBe('old');
    clock.time += 10_000;
    const both = [get(true), get(true)];
    // A caller that was refused nothing does not wait for them.
    expect(await get(false)).toBe('old');
    reads[1]?.resolve('new');
    expect(await Promise.all(both)).toEqual(['new', 'new']);
    expect(reads).toHaveLength(2);
  });

  it('that was just read is read again after a wait, which later callers share', async () => {
    const { reads, waits, get } = slowStore();
    const first = get(false);
    reads[0]?.resolve('old');
    await first;
    const refused = [get(true), get(true)];
    await settled();
    refused.push(get(true));
    expect(reads).toHaveLength(1);
    expect(waits).toHaveLength(1);
    waits[0]?.();
    await settled();
    reads[1]?.resolve('new');
    expect(await Promise.all(refused)).toEqual(['new', 'new', 'new']);
  });

  it('outlasts a store that fails for a moment, for those who can do with the value from before', async () => {
    const { reads, clock, get } = slowStore();
    const first = get(false);
    reads[0]?.resolve('old');
    await first;
    clock.time += 60_000;
    const [expired, refused] = [get(false), get(true)];
    reads[1]?.reject(new TranshipError('no response', { class: 'transient', code: 'timeout' }));
    await expect(refused).rejects.toThrow('no response');
    expect(await expired).toBe('old');
    clock.time += 3_000;
    const again = get(false);
    reads[2]?.reject(new TranshipError('no such secret', { class: 'configuration', code: 'not-found' }));
    await expect(again).rejects.toThrow('no such secret');
  });
});
