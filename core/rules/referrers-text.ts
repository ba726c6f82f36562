import { parseDuration } from '../config/duration.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import { defaultReferrers, type ReferrerChoice } from '../model/referrer.ts';

/** Shorter ones would ask as often as a run comes; longer ones leave a signature unseen. */
const recheckBoundsMs = { least: 60_000, most: 366 * 86_400_000 };

/**
 * `referrers:` of a rule.
 * @param types as written; undefined where only `recheck` is
 * @throws TranshipError `config-invalid`
 */
export function parseReferrerChoice(types: string[] | undefined, recheck: string | undefined): ReferrerChoice {
  const recheckMs = recheck === undefined ? undefined : parseRecheck(recheck);
  return { types: typesOf(types), ...(recheckMs !== undefined && { recheckMs }) };
}

function typesOf(written: string[] | undefined): string[] {
  if (written === undefined) return defaultReferrers.types;
  if (written.includes('none')) {
    if (written.length === 1) return [];
    throw configurationError('none stands beside others', { mend: 'write `referrers: none`, or list what is to come' });
  }
  if (written.includes('all')) return ['*'];
  const odd = written.find((type) => !kindPattern.test(type));
  if (odd === undefined) return [...new Set(written)];
  throw configurationError(`${quote(odd)} is neither a kind nor an artifact type`, {
    mend: 'the kinds are signatures, attestations and sboms; an artifact type is as application/vnd.example+json',
  });
}

const kindPattern = /^(?:signatures|attestations|sboms)$|[/*]/;

function parseRecheck(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= recheckBoundsMs.least && ms <= recheckBoundsMs.most) return ms;
  throw configurationError(`${quote(text)} is not a duration of a minute to a year`, { mend: 'write it as 24h or 7d' });
}
