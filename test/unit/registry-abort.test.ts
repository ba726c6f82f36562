import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort, waitFor } from '../../core/registry/abort.ts';

describe('what waits for a signal', () => {
  it('is called once when it aborts, but for what has stopped waiting', () => {
    const stop = new AbortController();
    const called: string[] = [];
    onAbort(stop.signal, () => called.push('first'));
    const ignore = onAbort(stop.signal, () => called.push('second'));
    onAbort(stop.signal, () => called.push('third'));
    ignore();
    stop.abort();
    stop.abort();
    expect(called).toEqual(['first', 'third']);
  });

  it('shares one listener, however much there is', async () => {
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 100 }, () => waitFor(Promise.resolve(), signal)));
    for (let n = 0; n < 100; n += 1) onAbort(signal, () => {});
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  });
});
