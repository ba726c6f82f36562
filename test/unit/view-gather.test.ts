import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { gatherWrites } from '../../cli/view/gather.ts';

describe('gathered writes', () => {
  const written: string[] = [];
  beforeEach(() => {
    vi.useFakeTimers();
    written.length = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('come at once after a pause, and together where there are many', async () => {
    const gathered = gatherWrites((text) => written.push(text));
    for (const text of ['a', 'b', 'c']) gathered.write(text);
    expect(written).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(60);
    gathered.write('d');
    expect(written).toEqual(['a', 'bc']);
    await vi.advanceTimersByTimeAsync(200);
    gathered.write('e');
    expect(written).toEqual(['a', 'bc', 'd', 'e']);
  });

  it('are few for a thousand lines of a second', async () => {
    const gathered = gatherWrites((text) => written.push(text));
    for (let n = 0; n < 1000; n += 1) {
      gathered.write('x');
      await vi.advanceTimersByTimeAsync(1);
    }
    gathered.flush();
    expect(written.join('')).toHaveLength(1000);
    expect(written.length).toBeLessThan(25);
  });

  it('are made when they are asked for, and once', async () => {
    const gathered = gatherWrites((text) => written.push(text));
    for (const text of ['a', 'b']) gathered.write(text);
    gathered.flush();
    gathered.flush();
    await vi.advanceTimersByTimeAsync(200);
    expect(written).toEqual(['a', 'b']);
  });
});
