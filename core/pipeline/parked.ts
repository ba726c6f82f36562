import type { Failure } from '../model/errors.ts';
import type { Repository, Target } from '../model/reference.ts';
import type { Park } from './ports/parks.ts';
import type { Task } from './ports/queue.ts';

/** For a registry that names no time. */
const PARK_MS = 60_000;

/** The park that a throttled request leads to; undefined where the failure names no registry. */
export function parkAfter({ registry, retryAt, message }: Failure, now: number): Park | undefined {
  return registry === undefined ? undefined : { registry, until: retryAt ?? now + PARK_MS, reason: message };
}

/** The failure of what is not tried because its registry is parked. */
export function parkedFailure({ registry, until, reason }: Park): Failure {
  return { class: 'throttled', code: 'throttled', message: reason, registry, retryAt: until };
}

/** The park that holds these places back for the longest time; undefined where none does. */
export function longestPark(
  places: ReadonlyArray<Pick<Repository, 'registry'>>,
  parks: readonly Park[],
): Park | undefined {
  const registries = new Set(places.map(({ registry }) => registry));
  const held = parks.filter(({ registry }) => registries.has(registry));
  return held.length === 0 ? undefined : held.reduce((latest, park) => (park.until > latest.until ? park : latest));
}

/** The destinations of a task that can be worked on now, and those that a parked registry holds back. */
export function splitParked(
  task: Task,
  parks: readonly Park[],
): { free: Target[]; held: Target[]; park: Park | undefined } {
  const isHeld = (target: Target) => longestPark([task.source, target], parks) !== undefined;
  const held = task.destinations.filter(isHeld);
  const free = task.destinations.filter((target) => !isHeld(target));
  return { free, held, park: held.length === 0 ? undefined : longestPark([task.source, ...held], parks) };
}
