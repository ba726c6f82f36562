import { describe, expect, it } from 'vitest';
import { leastLoaded, needsThread } from '../../machine/workers/load.ts';

describe('one more thread', () => {
  it.each([
    ['the main thread has time left', { loops: [0.6], mainCpu: 0.6 }, false],
    ['the main thread is busy', { loops: [0.99], mainCpu: 0.95 }, true],
    ['the main thread waits for a core', { loops: [0.99], mainCpu: 0.5 }, false],
    ['another thread has time left', { loops: [0.99, 0.5], mainCpu: 0.95 }, false],
    ['all are busy', { loops: [0.99, 0.9, 0.95], mainCpu: 0.95 }, true],
  ])('where %s', (_, load, isNeeded) => {
    expect(needsThread(load)).toBe(isNeeded);
  });
});

describe('the next move', () => {
  it.each([
    [0, [0], 0],
    [0, [1], undefined],
    [1, [1], 0],
    [2, [3, 1], 1],
    [1, [2, 2], undefined],
  ])('with %s in the main thread and %j in others goes to %s', (mainMoves, threadMoves, position) => {
    expect(leastLoaded(mainMoves, threadMoves)).toBe(position);
  });
});
