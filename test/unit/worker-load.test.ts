import { describe, expect, it } from 'vitest';
import { leastLoaded, needsThread } from '../../machine/workers/load.ts';

describe('one more thread', () => {
  it.each([
    ['the main thread has time left', { loops: [0.6], mainCpu: 0.6, idleCores: 1 }, false],
    ['the main thread is busy', { loops: [0.99], mainCpu: 0.95, idleCores: 1 }, true],
    ['the main thread waits for a core', { loops: [0.99], mainCpu: 0.5, idleCores: 1 }, false],
    ['another thread has time left', { loops: [0.99, 0.5], mainCpu: 0.95, idleCores: 1 }, false],
    ['others use all cores', { loops: [0.99], mainCpu: 0.95, idleCores: 0.1 }, false],
    ['all are busy', { loops: [0.99, 0.9, 0.95], mainCpu: 0.95, idleCores: 1 }, true],
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
