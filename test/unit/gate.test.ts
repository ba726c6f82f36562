import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createGate } from '../../core/copy/gate.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a gate', () => {
  it('is shut while an urgent copy is at work, and tells when it opens', () => {
    const gate = createGate();
    const opened = vi.fn();
    const forget = gate.onOpen(opened);
    const [first, second] = [gate.shut(), gate.shut()];
    expect(gate.isShut()).toBe(true);
    vi.advanceTimersByTime(100);
    first();
    first();
    expect(gate.isShut()).toBe(true);
    second();
    expect(gate.isShut()).toBe(false);
    expect(opened).toHaveBeenCalledTimes(1);
    forget();
    gate.shut()();
    expect(opened).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  /** Milliseconds of so many that it was shut. */
  function shutFor(gate: ReturnType<typeof createGate>, ms: number, each: (at: number) => void = () => {}): number {
    let shut = 0;
    for (let at = 0; at < ms; at += 10) {
      each(at);
      if (gate.isShut()) shut += 10;
      vi.advanceTimersByTime(10);
    }
    return shut;
  }

  it('opens for half of the time beside an urgent copy that does not end', () => {
    const gate = createGate();
    const end = gate.shut();
    expect(shutFor(gate, 1_000)).toBe(1_000);
    expect(shutFor(gate, 1_000)).toBe(0);
    const later = shutFor(gate, 100_000);
    expect(later).toBeGreaterThan(45_000);
    expect(later).toBeLessThanOrEqual(50_000);
    end();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('starves nobody where urgent copies follow one another without end', () => {
    const gate = createGate();
    let end = gate.shut();
    const shut = shutFor(gate, 100_000, (at) => {
      if (at % 200 !== 0) return;
      end();
      end = gate.shut();
    });
    expect(shut).toBeGreaterThan(45_000);
    expect(shut).toBeLessThanOrEqual(51_000);
  });
});
