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

/** By resolver and name: what is being looked up, or was a moment ago. */
const answers = new WeakMap<LookupFunction, Map<string, Promise<LookupAddress[]>>>();

/**
 * The addresses of a name. All who ask at the same time share one lookup, which cannot be cancelled: one that hangs must
 * not hold up those of other names.
 * @throws what the lookup failed with; the reason of `stop`
 */
export function lookUp(host: string, lookup: LookupFunction, stop: AbortSignal): Promise<LookupAddress[]> {
  const names = answers.get(lookup) ?? new Map<string, Promise<LookupAddress[]>>();
  answers.set(lookup, names);
  let answer = names.get(host);
  if (answer === undefined) {
    const asked = slots(() => ask(host, lookup));
    const forget = () => {
      if (names.get(host) === asked) names.delete(host);
    };
    asked.then(() => setTimeout(forget, KEPT_MS).unref(), forget);
    names.set(host, asked);
    answer = asked;
  }
  const shared = answer;
  return new Promise((settle, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const ignore = onAbort(stop, () => reject(stop.reason));
    shared.then(settle, reject).finally(ignore);
  });
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
