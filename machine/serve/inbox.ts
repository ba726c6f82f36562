import type { Announcement } from '../../core/announce/announcement.ts';
import { decideIntake, type Intake, type IntakeResult } from '../../core/announce/intake.ts';
import type { IntakeMemory } from '../../core/announce/intake-memory.ts';
import type { RuleIndex } from '../../core/announce/match.ts';
import type { PlanMessage } from '../../core/pipeline/ports/queue.ts';
import type { PromisedRun, PromisedWork } from '../state/promised-runs.ts';

export interface InboxOptions {
  /** The rules of now. */
  rules: () => RuleIndex;
  memory: IntakeMemory;
  /** How long the events of one push are gathered before its task runs, where they do not tell the digest. */
  gatherMs: number;
  /** The run that takes the work now. */
  run: () => PromisedRun;
  /** Stores the work durably, all of it or nothing. */
  store: (run: PromisedRun, work: PromisedWork[]) => void;
  now: () => number;
}

export interface Inbox {
  /**
   * Resolves when the announcements' work is on the disk, with what became of each, in their order.
   * @param settleMs how long the tags may still be unwritten
   * @throws what `store` throws; nothing is stored then
   */
  put(announcements: readonly Announcement[], settleMs: number): Promise<IntakeResult[]>;
  /** Stores what waits at once. */
  flush(): void;
}

interface Waiting {
  announcements: readonly Announcement[];
  settleMs: number;
  resolve: (results: IntakeResult[]) => void;
  reject: (error: unknown) => void;
}

/** Deliveries of this long share one write to the disk, which takes about as long itself. */
const GATHER_MS = 3;
const MAX_GATHERED = 1_000;

/**
 * Stores what announcements lead to ({@link decideIntake}). Many deliveries share one transaction: a disk takes some
 * hundred durable ones a second, and senders' bursts are larger.
 */
export function createInbox(options: InboxOptions): Inbox {
  const { rules, memory, gatherMs, now } = options;
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const deliveries = waiting;
    waiting = [];
    for (const [settleMs, group] of Map.groupBy(deliveries, (delivery) => delivery.settleMs)) {
      try {
        const results = storeGroup(
          group.flatMap(({ announcements }) => announcements),
          settleMs,
        );
        for (const { announcements, resolve } of group) resolve(results.splice(0, announcements.length));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
  }

  function storeGroup(announcements: Announcement[], settleMs: number): IntakeResult[] {
    const run = options.run();
    const intake = decideIntake(announcements, {
      rules: rules(),
      memory,
      gatherMs,
      settleMs,
      runId: run.id,
      now: now(),
    });
    const work = workOf(intake, run.id);
    if (work.length > 0) options.store(run, work);
    memory.note(intake);
    return intake.results;
  }

  return {
    put(announcements, settleMs) {
      return new Promise((resolve, reject) => {
        waiting.push({ announcements, settleMs, resolve, reject });
        if (waiting.length >= MAX_GATHERED) flush();
        else timer ??= setTimeout(flush, GATHER_MS);
      });
    },
    flush,
  };
}

function workOf({ waves, replan, taken }: Intake, runId: string): PromisedWork[] {
  const work = waves.map(({ tasks, delayMs }): PromisedWork => ({ tasks, plans: [], visibleAt: taken.at + delayMs }));
  const plans = replan.plans.map((plan): PlanMessage => ({ version: 1, runId, ...plan, attempt: 0 }));
  if (plans.length > 0) work.push({ tasks: [], plans, visibleAt: taken.at + replan.delayMs });
  return work;
}
