import type { Emit } from '../core/pipeline/ports/events.ts';
import type { Ledger } from '../core/pipeline/ports/ledger.ts';
import { deadLetterOf, type Settlement } from '../core/pipeline/settle.ts';
import type { Queue, ReceivedMessage } from './state/queue.ts';

/** Since when each registry has throttled with no tag done in between. */
export interface Throttles {
  since(registry: string): number;
  /** How often a registry was parked. */
  parked(): number;
  /** Notes what a settlement says of registries. */
  note(settlement: Pick<Settlement, 'succeeded' | 'parks'>): void;
}

export function createThrottles(now: () => number): Throttles {
  const since = new Map<string, number>();
  let parked = 0;
  return {
    parked: () => parked,
    since: (registry) => since.get(registry) ?? now(),
    note({ succeeded, parks }) {
      for (const { source, destination } of succeeded) {
        since.delete(source.registry);
        since.delete(destination.registry);
      }
      parked += parks.length;
      for (const { registry } of parks) since.set(registry, since.get(registry) ?? now());
    },
  };
}

/**
 * Carries out what was decided of a task that was received. Somebody waits for the run to end, so all that failed is
 * recorded now, and kept as a dead letter for `redrive`.
 *
 * @param durable what is sent is promised to somebody outside
 */
export async function carryOut(
  { queue, ledger, emit }: { queue: Queue; ledger: Ledger; emit: Emit },
  delivery: ReceivedMessage & { kind: 'task' },
  { succeeded, failed, givenUp, next, parks }: Settlement,
  { durable }: { durable: boolean },
): Promise<void> {
  const task = delivery.body;
  for (const { registry, until, reason } of parks) await ledger.park(registry, until, reason);
  const ended = [...succeeded, ...failed, ...givenUp];
  // One after the other, in one transaction.
  const recorded = ended.map((outcome) => ledger.recordOutcome(outcome));
  const replaced = queue.replace(delivery, { next, dead: deadLetterOf(task, [...failed, ...givenUp]), durable });
  await Promise.all([...recorded, replaced]);
  if (ended.length > 0) emit({ type: 'task-finished', task, outcomes: ended });
  for (const { why, task: again } of next) {
    if (why === 'again' && again.failure !== undefined)
      emit({ type: 'task-retrying', task: again, failure: again.failure });
  }
}
