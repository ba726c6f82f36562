import { LRUCache } from 'lru-cache';
import { explainIgnored, type Ignored } from '../../core/announce/announcement.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import { splitImageName } from '../../core/announce/image-name.ts';
import type { Delivery } from '../../machine/serve/hook-server.ts';

/** Beyond this many things that were told, the oldest is forgotten and may be told again. */
const MAX_REMEMBERED = 10_000;
/** Refusals of one kind are told of so often, with how many there were meanwhile. */
const REFUSALS_EVERY_MS = 3_600_000;

export interface DeliveryLine {
  isWarning: boolean;
  message: string;
}

/**
 * Makes log lines of deliveries: what a person must know to mend it when nothing is copied. Every reason is told once
 * for each sender, and where it is about a repository once for each of those; a refused delivery once an hour. With
 * `verbose`, what became of every event.
 *
 * @param options.now ms, by a clock that is not set back
 */
export function createDeliveryLines({ verbose, now }: { verbose: boolean; now: () => number }) {
  const told = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  const refusals = new LRUCache<string, { toldAt: number; untold: number }>({ max: MAX_REMEMBERED });

  function isNews(key: string): boolean {
    const isKnown = told.get(key) === true;
    told.set(key, true);
    return !isKnown || verbose;
  }

  function* refused(sender: string, status: number, why: string): Generator<DeliveryLine> {
    const key = JSON.stringify([sender, status, why]);
    const last = refusals.get(key);
    if (last !== undefined && !verbose && now() - last.toldAt < REFUSALS_EVERY_MS) {
      last.untold += 1;
      return;
    }
    const more = last === undefined || last.untold === 0 ? '' : `, as ${last.untold} before`;
    refusals.set(key, { toldAt: now(), untold: 0 });
    yield { isWarning: true, message: `refused a delivery of ${sender} with ${status}: ${why}${more}` };
  }

  return {
    /** The lines of a delivery. One to a URL that is nobody's has none: anybody can ask for those. */
    *lines({ sender, status, refusal, notice, results, ignored }: Delivery): Generator<DeliveryLine> {
      if (sender === undefined) return;
      if (notice !== undefined) yield { isWarning: true, message: notice };
      if (refusal !== undefined) yield* refused(sender, status, refusal);
      for (const one of ignored) {
        if (isNews(keyOf(sender, one))) yield { isWarning: false, message: ignoredLine(sender, one) };
      }
      if (!verbose) return;
      for (const { announcement, fate } of results) {
        if (fate !== 'queued' && fate !== 'merged') continue;
        const what = fate === 'queued' ? 'queued' : 'another event of the same push';
        yield { isWarning: false, message: `${sender} announced ${formatAnnouncement(announcement)}: ${what}` };
      }
    },
  };
}

/** What is told once: a repository where the reason is about it, else the reason. */
function keyOf(sender: string, { reason, what = '', why = '' }: Ignored): string {
  const isAboutRepository = reason === 'not-allowed' || reason === 'unmatched';
  if (!isAboutRepository) return JSON.stringify([sender, reason, why]);
  const { registry, repository } = splitImageName(what);
  return JSON.stringify([sender, reason, registry, repository]);
}

function ignoredLine(sender: string, ignored: Ignored): string {
  const { reason, what, mend } = ignored;
  const more = mend === undefined ? '' : `; ${mend}`;
  if (reason === 'unmatched') return `no rule takes ${what}, announced by ${sender}${more}`;
  const about = what === undefined ? '' : `, ${what}`;
  return `ignored an event of ${sender}: ${reason}${about}: ${explainIgnored(ignored)}${more}`;
}
