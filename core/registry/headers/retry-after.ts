/** Longest wait that a registry can ask for; the longest real one, Docker Hub's quota, is six hours. */
export const MAX_RETRY_AFTER_MS = 24 * 60 * 60_000;

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const imfDate = /^[A-Za-z]{3}, (\d{2}) ([A-Za-z]{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/i;

/**
 * When a `Retry-After` header allows the next request, in epoch ms: never before `nowMs`, never more than
 * {@link MAX_RETRY_AFTER_MS} after it. Undefined where there is no header or it cannot be read. Never throws.
 *
 * Seconds may have a fraction. A number too large to be a wait is taken as the epoch second that Docker Hub's edge
 * sends.
 *
 * @see RFC 9110 section 10.2.3: seconds, or a date in the preferred format
 */
export function parseRetryAfter(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim();
  if (text === undefined) return undefined;
  const atMs = /^\d{1,15}(?:\.\d{1,9})?$/.test(text) ? atSeconds(Number(text), nowMs) : atDate(text);
  if (atMs === undefined) return undefined;
  return Math.min(Math.max(atMs, nowMs), nowMs + MAX_RETRY_AFTER_MS);
}

function atSeconds(seconds: number, nowMs: number): number {
  const isEpoch = seconds > 1_000_000_000 && seconds < 10_000_000_000;
  return Math.ceil(isEpoch ? seconds * 1000 : nowMs + seconds * 1000);
}

function atDate(text: string): number | undefined {
  const [, day, monthName, year, hour, minute, second] = imfDate.exec(text) ?? [];
  const month = months.indexOf(monthName?.toLowerCase() ?? '');
  if (month === -1) return undefined;
  const atMs = Date.UTC(Number(year), month, Number(day), Number(hour), Number(minute), Number(second));
  return Number.isNaN(atMs) ? undefined : atMs;
}
