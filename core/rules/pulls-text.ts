import { parseDuration } from '../config/duration.ts';
import { configurationError } from '../model/errors.ts';
import { quote } from '../model/quote.ts';
import type { PullBudget } from '../model/rule.ts';

const MINUTE_MS = 60_000;

/**
 * Reads a budget of pulls: `80/6h`.
 * @throws TranshipError `config-invalid`
 */
export function parsePulls(text: string): PullBudget {
  const [, count, duration = ''] = /^(\d{1,7})[ ]?\/[ ]?(\S+)$/.exec(text.trim()) ?? [];
  const windowMs = parseDuration(duration);
  if (count === undefined || windowMs === undefined) {
    throw configurationError(`${quote(text)} is not a budget of pulls`, { mend: 'write it like 80/6h' });
  }
  if (Number(count) === 0 || windowMs < MINUTE_MS || windowMs > 7 * 24 * 60 * MINUTE_MS) {
    throw configurationError(`${quote(text)} allows no pulls, or its time is not between a minute and a week`, {
      mend: 'write it like 80/6h',
    });
  }
  return { pulls: Number(count), windowMs };
}
