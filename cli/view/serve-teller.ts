import type { Announcement } from '../../core/announce/announcement.ts';
import { formatAnnouncement } from '../../core/announce/filter.ts';
import { splitImageName } from '../../core/announce/image-name.ts';
import type { Answered } from '../../machine/serve/endpoint.ts';
import type { Delivery, Fate } from '../../machine/serve/inbox.ts';
import type { ServeLog } from './serve-log.ts';

/** Repositories and refusals that are told of: what comes from outside must not grow without bound. */
const MAX_TOLD = 1_000;
/** Refusals of one kind are told of so often, with how many there were meanwhile. */
const REFUSALS_EVERY_MS = 3_600_000;

const fates: Record<Fate, string> = {
  queued: 'queued',
  merged: 'another event of the same push',
  'own-push': 'our own push, which no rule copies on',
  'by-digest': 'pushed by its digest; its tag is announced by itself',
  unmatched: 'no rule takes it',
  deletion: 'deletions are not mirrored',
};

/**
 * Tells of push events what a person must know to mend it when nothing is copied: refused senders, repositories that a sender may
 * not speak for, and pushes that no rule takes, each once. With `verbose` what became of every event.
 */
export function createTeller(options: { log: ServeLog; verbose: boolean; now: () => number }) {
  const { log, verbose, now } = options;
  const told = new Set<string>();
  const refusals = new Map<string, { toldAt: number; untold: number }>();

  /** @param key of what is told once, or always with `verbose` */
  function once(key: string, message: string): void {
    const isNews = !told.has(key) && told.size < MAX_TOLD;
    if (isNews) told.add(key);
    if (isNews || verbose) log.say(message);
  }

  function refused(source: string, status: number, why: string): void {
    const key = `${source} ${status}`;
    const last = refusals.get(key);
    if (last !== undefined && !verbose && now() - last.toldAt < REFUSALS_EVERY_MS) {
      last.untold += 1;
      return;
    }
    if (last === undefined && refusals.size >= MAX_TOLD) return;
    const more = last === undefined || last.untold === 0 ? '' : `, as ${last.untold} before`;
    refusals.set(key, { toldAt: now(), untold: 0 });
    log.emit({ type: 'warning', message: `refused a delivery of ${source} with ${status}: ${why}${more}` });
  }

  return {
    /** An answer to a delivery. One to a URL that is nobody's is not told of: anybody can ask for those. */
    answered({ source, status, receipt, why }: Answered): void {
      if (source === undefined) return;
      if (receipt?.notice !== undefined) log.emit({ type: 'warning', message: receipt.notice });
      const reason = why ?? receipt?.failure?.message;
      if (reason !== undefined) refused(source, status, reason);
      for (const { reason: ignored, what = '' } of receipt?.ignored ?? []) {
        const message = `ignored an event of ${source}: ${ignored}${what === '' ? '' : `, ${what}`}`;
        const { registry, repository } = splitImageName(what);
        if (ignored === 'not-allowed') once(`${source} ${registry}/${repository}`, message);
        else if (verbose) log.say(message);
      }
    },
    /** What became of an announcement. */
    announced({ source }: Delivery, announcement: Announcement, fate: Fate): void {
      const { registry, repository } = announcement.repository;
      const name = formatAnnouncement(announcement);
      if (fate === 'unmatched') once(`${registry}/${repository}`, `no rule takes ${name}, announced by ${source}`);
      else if (verbose) log.say(`${source} announced ${name}: ${fates[fate]}`);
    },
  };
}
