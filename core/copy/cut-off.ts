import type { Digest, Target } from '../model/reference.ts';
import type { Arrival } from './context.ts';

/** A blob that was on its way to a destination when its worker was stopped, and of which nothing was kept. */
export interface CutOff {
  digest: Digest;
  /** Bytes of the whole blob. */
  size: number;
  /** Bytes that were read of it, and the time that took. */
  bytes: number;
  ms: number;
}

/** How long the rest of the blob would have taken, in ms. */
export function remainingMs({ size, bytes, ms }: Omit<CutOff, 'digest'>): number {
  return (ms / Math.max(1, bytes)) * Math.max(0, size - bytes);
}

/** Notes it where it had a longer way to go than what is noted already. */
export function noteCutOff(arrival: Arrival, cutOff: CutOff): void {
  if (arrival.cutOff === undefined || remainingMs(cutOff) > remainingMs(arrival.cutOff)) arrival.cutOff = cutOff;
}

/** Those of some arrivals, by destination. */
export function cutOffsOf(arrivals: readonly Arrival[]): Map<Target, CutOff> {
  return new Map(arrivals.flatMap(({ target, cutOff }) => (cutOff === undefined ? [] : [[target, cutOff]])));
}
