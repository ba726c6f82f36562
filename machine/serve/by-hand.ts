import { formatTarget } from '../../core/model/reference.ts';
import { redriveTrigger } from '../../core/pipeline/second-chance.ts';
import type { RedriveWish } from '../../core/status/view.ts';
import type { DeadLetter } from '../state/dead-letters.ts';
import { runOnce } from './run-once.ts';
import type { Schedules } from './schedules.ts';
import { byHandTrigger } from './triggers.ts';
import type { Workers } from './work.ts';

/** What a person starts from the status page. */
export interface ByHand {
  /** Tries dead letters again, as a run of its own. @returns how many tags */
  redrive(wish: RedriveWish): Promise<number>;
  /** Syncs all rules. @returns how many there are; 0 where such a run is under way */
  sync(): Promise<number>;
  /** Waits for the runs that are under way. */
  ended(): Promise<void>;
}

/** In one run; asked again, it takes the next ones. */
const MOST_LETTERS = 100_000;

/** @param schedules run all rules, never two such runs at a time */
export function createByHand(workers: Workers, schedules: Pick<Schedules, 'runNow'>): ByHand {
  const { ledger, deadLetters } = workers.machine;
  const underWay = new Set<Promise<void>>();

  return {
    async redrive(wish) {
      const letters = chosen(deadLetters.list(filterOf(wish)), wish);
      if (letters.length === 0 || workers.stop.aborted) return 0;
      const ids = letters.map(({ id }) => id);
      const started = Promise.withResolvers<number>();
      const run = runOnce(workers, redriveTrigger, async (runId, startedAt) => {
        await ledger.startRun({ id: runId, trigger: redriveTrigger, startedAt });
        // Another process may have taken some meanwhile.
        started.resolve(
          deadLetters.take(ids, runId, startedAt).reduce((sum, task) => sum + task.destinations.length, 0),
        );
      });
      const ended = run.catch((error: unknown) => {
        started.reject(error);
        workers.failed(error);
      });
      underWay.add(ended);
      void ended.finally(() => underWay.delete(ended));
      return started.promise;
    },
    async sync() {
      const ruleIds = [...workers.rules.keys()];
      return schedules.runNow({ trigger: byHandTrigger, ruleIds }) ? ruleIds.length : 0;
    },
    async ended() {
      await Promise.all(underWay);
    },
  };
}

function filterOf({ ruleId, code }: RedriveWish): Parameters<Workers['machine']['deadLetters']['list']>[0] {
  return {
    ruleIds: ruleId === undefined ? [] : [ruleId],
    codes: code === undefined ? [] : [code],
    limit: MOST_LETTERS,
  };
}

function chosen(letters: DeadLetter[], { destination }: RedriveWish): DeadLetter[] {
  if (destination === undefined) return letters;
  return letters.filter(({ task }) => task.destinations.some((target) => formatTarget(target) === destination));
}
