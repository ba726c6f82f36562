import type { Announcement } from '../../core/announce/announcement.ts';
import { type Coalescer, createCoalescer } from '../../core/announce/coalesce.ts';
import { type Matched, matchAnnouncements, waitOf } from '../../core/announce/match.ts';
import { formatRepository } from '../../core/model/reference.ts';
import type { Rule } from '../../core/model/rule.ts';
import type { PlanMessage, Task } from '../../core/pipeline/ports/queue.ts';
import type { PromisedRun, PromisedWork } from '../state/promised-runs.ts';

/** What becomes of an announcement. */
export type Fate = 'queued' | 'merged' | 'own-push' | 'by-digest' | 'unmatched' | 'deletion';

export interface InboxOptions {
  rules: readonly Rule[];
  /** How long the events of one push are gathered before its task runs, where they do not tell the digest. */
  debounceMs: number;
  /** The run that takes the work now. */
  run: () => PromisedRun;
  /** Stores the work durably, all of it or nothing. */
  store: (run: PromisedRun, work: PromisedWork[]) => void;
  /** What became of each. */
  told: (delivery: Delivery, announcement: Announcement, fate: Fate) => void;
  now: () => number;
}

export interface Inbox {
  /** Resolves when the announcements' work is on the disk. @throws what `store` throws; nothing is stored then */
  put(delivery: Delivery): Promise<void>;
  /** Stores what waits at once. */
  flush(): void;
}

export interface Delivery {
  source: string;
  announcements: readonly Announcement[];
  /** How long the tags may still be unwritten. */
  settleMs: number;
}

type Waiting = Delivery & { resolve: () => void; reject: (error: unknown) => void };

/** Deliveries of this long share one write to the disk, which takes about as long itself. */
const GATHER_MS = 3;
const MAX_GATHERED = 1_000;

/**
 * Turns announcements into stored work. Many deliveries share one transaction: a disk takes some hundred durable ones a
 * second, and senders' bursts are larger.
 */
export function createInbox(options: InboxOptions): Inbox {
  const rulesBySource = groupBySource(options.rules);
  /** By settling time: events that come before their tag cover one another later. */
  const coalescers = new Map<number, Coalescer>();
  /** When the next planning of a rule may begin, epoch ms: what is announced until then, it sees. */
  const planningAt = new Map<string, number>();
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const deliveries = waiting;
    waiting = [];
    for (const [settleMs, group] of Map.groupBy(deliveries, (delivery) => delivery.settleMs)) {
      try {
        storeGroup(group, settleMs);
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
  };

  function storeGroup(group: Waiting[], settleMs: number): void {
    const since = options.now();
    const windowMs = options.debounceMs + settleMs;
    const settledAt = since + windowMs;
    const coalescer = coalescers.get(settleMs) ?? createCoalescer({ windowMs, now: options.now });
    coalescers.set(settleMs, coalescer);
    const all = group.flatMap(({ announcements }) => announcements);
    const fresh = coalescer.fresh(all, settleMs);
    const run = options.run();
    const runId = run.id;
    const fates = new Map<Announcement, Fate>();
    const tasks: Task[] = [];
    const replan = new Set<string>();
    for (const announcement of fresh) {
      const rules = rulesBySource.get(formatRepository(announcement.repository)) ?? [];
      const matched = matchAnnouncements([announcement], rules, { runId, now: since, settleUntil: settledAt });
      tasks.push(...matched.tasks);
      for (const ruleId of matched.replan) {
        if (since + settleMs >= (planningAt.get(ruleId) ?? 0)) replan.add(ruleId);
      }
      fates.set(announcement, fateOf(matched));
    }
    const plans = [...replan].map((ruleId): PlanMessage => ({ version: 1, runId, ruleId, attempt: 0 }));
    const waves = Map.groupBy(tasks, (task) => since + waitOf(task, windowMs));
    const work = [...waves].map(([visibleAt, wave]) => ({ tasks: wave, plans: [] as PlanMessage[], visibleAt }));
    // The list of tags must have all of them.
    if (plans.length > 0) work.push({ tasks: [], plans, visibleAt: settledAt });
    if (work.length > 0) options.store(run, work);
    for (const ruleId of replan) planningAt.set(ruleId, settledAt);
    coalescer.noteSent(fresh, since);
    for (const delivery of group) {
      for (const announcement of delivery.announcements) {
        options.told(delivery, announcement, fates.get(announcement) ?? 'merged');
      }
    }
  }

  return {
    put(delivery) {
      return new Promise((resolve, reject) => {
        waiting.push({ ...delivery, resolve, reject });
        if (waiting.length >= MAX_GATHERED) flush();
        else timer ??= setTimeout(flush, GATHER_MS);
      });
    },
    flush,
  };
}

/** @param matched of one announcement */
function fateOf({ own, byDigest, unmatched, deletions }: Matched): Fate {
  if (own.length > 0) return 'own-push';
  if (byDigest.length > 0) return 'by-digest';
  if (unmatched.length > 0) return 'unmatched';
  return deletions.length > 0 ? 'deletion' : 'queued';
}

function groupBySource(rules: readonly Rule[]): Map<string, Rule[]> {
  return Map.groupBy(rules, (rule) => formatRepository(rule.from));
}
