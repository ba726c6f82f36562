import { createWaiters } from '../model/waiters.ts';
import type { RegistryClient } from './state.ts';

/** How many short questions a registry is asked at a time, learned from how it answers. */
export interface PaceState {
  /** Questions in flight. */
  limit: number;
  /** Signs to come before it changes again. */
  left: number;
  /** Nothing has made it slower so far. */
  isStarting: boolean;
  /** It was halved for a refusal, and what was on its way then is still to come. */
  isResting: boolean;
  /** The shortest answer, in ms, forgotten slowly; undefined before the first. */
  baseMs: number | undefined;
  /** Answers of late, on average. */
  recentMs: number;
}

/** What one question showed: how long its answer took, or that the registry wants fewer. */
export type PaceSign = { kind: 'answer'; ms: number } | { kind: 'refusal' };

/** As many at the start as there are blobs in flight by default; as many at most as a browser opens to one HTTP/2 server. */
export const paceBounds = { start: 16, least: 1, most: 64 };
/** Slower answers than this, by both, mean that the registry, the way to it or this process has enough to do. */
const SLOW = { times: 3, ms: 20 };
/** Slow answers make it no slower than this: a registry that wants less says so. */
const LEAST_WHEN_SLOW = 8;
/** Each answer counts for so much in the average. */
const WEIGHT = 0.1;
/** By so much the shortest answer grows with each answer: the way to the registry may have changed. */
const FORGETTING = 1.001;

export function startPace(): PaceState {
  const { start } = paceBounds;
  return { limit: start, left: start, isStarting: true, isResting: false, baseMs: undefined, recentMs: 0 };
}

/**
 * The pace after one more sign. When as many answers as may be in flight were fast it doubles, as TCP does at its start;
 * by a quarter only, once something has made it slower: additive increase would take long over short runs. It is halved
 * when they were slow, and at once when one was refused with 429; that counts once for all that were on their way.
 */
export function nextPace(state: PaceState, sign: PaceSign): PaceState {
  const { least, most } = paceBounds;
  if (sign.kind === 'refusal' && !state.isResting) {
    const limit = Math.max(least, state.limit >> 1);
    return { ...state, limit, left: state.limit, isStarting: false, isResting: true };
  }
  const seen = sign.kind === 'answer' ? withTime(state, sign.ms) : state;
  const left = state.left - 1;
  if (left > 0) return { ...seen, left };
  if (state.isResting) return { ...seen, isResting: false, left: state.limit };
  const { baseMs = 0, recentMs } = seen;
  const isSlow = recentMs > SLOW.times * baseMs && recentMs > baseMs + SLOW.ms;
  const limit = isSlow
    ? Math.max(Math.min(LEAST_WHEN_SLOW, state.limit), state.limit >> 1)
    : Math.min(most, Math.ceil(state.limit * (state.isStarting ? 2 : 1.25)));
  return { ...seen, limit, left: limit, isStarting: state.isStarting && !isSlow };
}

function withTime(state: PaceState, ms: number): PaceState {
  const { baseMs = ms, recentMs } = state;
  const recent = state.baseMs === undefined ? ms : recentMs + WEIGHT * (ms - recentMs);
  return { ...state, baseMs: Math.min(ms, baseMs * FORGETTING), recentMs: recent };
}

/** The pace of one registry, shared by all that ask it. */
export interface Pace {
  limit(): number;
  /** Asks as soon as fewer than the limit are in flight. */
  ask<T>(question: () => Promise<T>): Promise<T>;
  /** The registry answered something with 429. */
  noteRefusal(): void;
  /** Keeps what waits for it short. */
  readonly room: Room;
}

/** Lets work in as a whole while there is less of it inside than a number of questions. */
export interface Room {
  /** Waits until so many more may come in, in order. Each of them is to leave. */
  enter(count: number): Promise<void>;
  leave(count: number): void;
}

/** The pace of a registry, known as long as the client lives. */
export function paceOf({ paces }: RegistryClient, registry: string): Pace {
  let pace = paces.get(registry);
  if (pace === undefined) {
    pace = createPace();
    paces.set(registry, pace);
  }
  return pace;
}

/**
 * A room that is full when it holds as many as may be in flight. More would only wait, and what waits in memory outlives
 * V8's young generation.
 */
function createRoom(): Room {
  const full = paceBounds.most;
  const waiting: Array<{ count: number; come: () => void }> = [];
  let inside = 0;

  function letIn(): void {
    while (inside < full) {
      const next = waiting.shift();
      if (next === undefined) return;
      inside += next.count;
      next.come();
    }
  }

  return {
    enter(count) {
      return new Promise((come) => {
        waiting.push({ count, come });
        letIn();
      });
    },
    leave(count) {
      inside -= count;
      letIn();
    },
  };
}

export function createPace(now: () => number = () => performance.now()): Pace {
  let state = startPace();
  let inFlight = 0;
  const waiters = createWaiters();

  function letGo(): void {
    while (inFlight < state.limit && waiters.callNext() > 0) inFlight += 1;
  }

  return {
    limit: () => state.limit,
    room: createRoom(),
    async ask(question) {
      if (inFlight < state.limit && waiters.isEmpty()) inFlight += 1;
      else await waiters.wait();
      const from = now();
      try {
        const answer = await question();
        state = nextPace(state, { kind: 'answer', ms: now() - from });
        return answer;
      } finally {
        inFlight -= 1;
        letGo();
      }
    },
    noteRefusal() {
      state = nextPace(state, { kind: 'refusal' });
    },
  };
}
