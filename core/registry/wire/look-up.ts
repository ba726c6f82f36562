import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { createSlots } from '../../model/slots.ts';
import { onAbort } from '../abort.ts';

/**
 * libuv works on two lookups at a time, and a process that ends waits for all that were handed to it. So no more are, or
 * one that is told to stop while DNS does not answer would go on for a minute.
 */
const slots = createSlots(2);
/** New connections to one host come in numbers. */
const KEPT_MS = 5_000;

/** What is being looked up, or was a moment ago. */
interface Shared {
  answer: Promise<LookupAddress[]>;
  /** How many wait for it. */
  waiting: number;
}

/** By resolver and name. */
const answers = new WeakMap<LookupFunction, Map<string, Shared>>();

/**
 * The addresses of a name. All who ask at the same time share one lookup, which cannot be cancelled: one that hangs must
 * not hold up those of other names.
 * @throws what the lookup failed with; the reason of `stop`
 */
export function lookUp(host: string, lookup: LookupFunction, stop: AbortSignal): Promise<LookupAddress[]> {
  if (stop.aborted) return Promise.reject(stop.reason);
  const names = answers.get(lookup) ?? new Map<string, Shared>();
  answers.set(lookup, names);
  const shared = names.get(host) ?? begin(host, lookup, names);
  shared.waiting += 1;
  return new Promise((settle, reject) => {
    const leave = () => {
      ignore();
      shared.waiting -= 1;
    };
    const ignore = onAbort(stop, () => {
      leave();
      reject(stop.reason);
    });
    shared.answer.then(settle, reject).finally(() => stop.aborted || leave());
  });
}

function begin(host: string, lookup: LookupFunction, names: Map<string, Shared>): Shared {
  const forget = () => {
    if (names.get(host) === shared) names.delete(host);
  };
  const turn = async () => {
    if (shared.waiting > 0) return ask(host, lookup);
    // Before its turn came all who wanted it were stopped.
    forget();
    return [];
  };
  const shared: Shared = { answer: Promise.resolve().then(() => slots(turn)), waiting: 0 };
  shared.answer.then(() => setTimeout(forget, KEPT_MS).unref(), forget);
  names.set(host, shared);
  return shared;
}

/** Has the name looked up anew: no address that was found could be connected to. */
export function forgetName(host: string, lookup: LookupFunction): void {
  answers.get(lookup)?.delete(host);
}

function ask(host: string, lookup: LookupFunction): Promise<LookupAddress[]> {
  return new Promise((settle, reject) => {
    lookup(host, { all: true }, (error, found) => {
      if (error !== null) reject(error);
      else settle(Array.isArray(found) ? found : []);
    });
  });
}
